// Where data sets are looked for, and pictures in folders.
#include <gtest/gtest.h>
#include <stdlib.h>

#include "base/error.h"
#include "data/dataset.h"
#include "data/locate.h"
#include "data/rows.h"
#include "io/temporary_folder.h"
#include "parquet_writer.h"

namespace icedit {
namespace {

std::vector<std::string> names(const std::vector<Path>& files) {
  std::vector<std::string> names;
  for (const Path& file : files) names.push_back(file.filename().string());
  return names;
}

using Names = std::vector<std::string>;

TEST(FindParquet, GlobsFoldersAndSplits) {
  const TemporaryFolder folder;
  for (const char* name :
       {"data/train-00001-of-00002-abc.parquet", "data/train-00000-of-00002-abc.parquet",
        "data/dev-00000-of-00001.parquet", "data/test-00000.parquet", "data/notes.txt",
        "other/a.parquet", "other/b.parquet"})
    folder.write(name, "");
  const std::string root = folder.path().string();
  const Names train = {"train-00000-of-00002-abc.parquet", "train-00001-of-00002-abc.parquet"};
  const std::string dev = "dev-00000-of-00001.parquet", test = "test-00000.parquet";

  EXPECT_EQ(names(find_parquet({root + "/data"}, "", "train+dev")),
            (Names{train[0], train[1], dev}));
  EXPECT_EQ(names(find_parquet({root + "/data"}, "dev", "train+dev")), Names{dev});
  EXPECT_EQ(names(find_parquet({root + "/data"}, "dev+train", "train+dev")),
            (Names{dev, train[0], train[1]}));
  EXPECT_EQ(names(find_parquet({root + "/data/*.parquet"}, "", "train+dev")),
            (Names{dev, test, train[0], train[1]}));
  EXPECT_EQ(names(find_parquet({root + "/data/{test,dev}*.parquet"}, "", "train")),
            (Names{dev, test}));
  EXPECT_EQ(names(find_parquet({root + "/other"}, "", "train+dev")),
            (Names{"a.parquet", "b.parquet"}));
  EXPECT_EQ(
      names(find_parquet({root + "/other/b.parquet", root + "/other/a.parquet"}, "", "train")),
      (Names{"b.parquet", "a.parquet"}));
  EXPECT_EQ(names(find_parquet({root + "/other"}, "other", "")), (Names{"a.parquet", "b.parquet"}));

  const auto error = [](const std::vector<std::string>& places, const std::string& split) {
    return error_of<UsageError>([&] { find_parquet(places, split, "train"); });
  };
  EXPECT_NE(error({}, "").find("path is empty"), std::string::npos);
  EXPECT_NE(error({root + "/data"}, "valid").find("asks for 'valid'"), std::string::npos);
  EXPECT_NE(error({root + "/nothing*"}, "").find("matches no file"), std::string::npos);
  folder.write("empty/readme.md", "");
  EXPECT_NE(error({root + "/empty"}, "").find("no .parquet file in the folder"), std::string::npos);
}

TEST(FindParquet, DataSetsInTheHubCache) {
  const TemporaryFolder folder;
  folder.write("datasets--osunlp--MagicBrush/refs/main", "0123abc\n");
  folder.write("datasets--osunlp--MagicBrush/snapshots/0123abc/data/train-0.parquet", "");
  folder.write("datasets--osunlp--MagicBrush/snapshots/0123abc/data/dev-0.parquet", "");
  const char* before = getenv("HF_HUB_CACHE");
  const std::string kept = before ? before : "";
  setenv("HF_HUB_CACHE", folder.path().c_str(), 1);
  EXPECT_EQ(names(find_parquet({"osunlp/MagicBrush"}, "", "train+dev")),
            (Names{"train-0.parquet", "dev-0.parquet"}));
  // An id has one slash and no ending of a file.
  for (const char* place : {"models/train.parquet", "models/nano/train", "~/x.parquet", "/no/x"}) {
    const std::string error =
        error_of<NoInputError>([&] { find_parquet({place}, "", "", folder.path().string()); });
    EXPECT_NE(error.find(str("there is no file or folder '", place, "'")), std::string::npos)
        << error;
    EXPECT_EQ(error.find("cd "), std::string::npos) << error;
  }
  const std::string error = error_of<UsageError>(
      [&] { find_parquet({"TIGER-Lab/OmniEdit-Filtered-1.2M"}, "", "train"); });
  EXPECT_NE(error.find("hf download --repo-type dataset TIGER-Lab/OmniEdit-Filtered-1.2M"),
            std::string::npos)
      << error;
  before ? setenv("HF_HUB_CACHE", kept.c_str(), 1) : unsetenv("HF_HUB_CACHE");
}

// A configuration's paths start from the working folder; the one that they were written for is
// named.
TEST(FindParquet, PathsThatStartFromAnotherFolder) {
  const TemporaryFolder folder;
  folder.write("clone of it/data-2/nano/train.parquet", "");
  folder.write("clone of it/configs/a.yaml", "");
  const std::string configs = (folder / "clone of it/configs").string();
  const std::string remedy = str("cd '", (folder / "clone of it").string(), "'");
  const std::string here = std::filesystem::current_path().string();
  const std::string error =
      error_of<NoInputError>([&] { find_parquet({"data-2/nano/train.parquet"}, "", "", configs); });
  EXPECT_NE(error.find(remedy), std::string::npos) << error;
  EXPECT_NE(error.find("in the working folder " + here), std::string::npos) << error;
  EXPECT_NE(error_of<UsageError>([&] {
              find_parquet({"data-2/*/*.parquet"}, "", "", configs);
            }).find(remedy),
            std::string::npos);
  EXPECT_NE(error_of<NoInputError>([&] { folder_rows("data-2/nano", configs); }).find(remedy),
            std::string::npos);
}

DatasetConfig folder_config(const Path& path) {
  DatasetConfig config;
  config.type = DatasetType::kFolder;
  config.path = {path.string()};
  return config;
}

TEST(FolderRows, ByJsonl) {
  const TemporaryFolder folder;
  folder.write("pictures/a.png", numbered_png(0));
  folder.write("pictures/b.jpg", numbered_png(1));
  folder.write("pairs.jsonl",
               "{\"source\": \"pictures/a.png\", \"target\": \"pictures/b.jpg\", \"instruction\": "
               "\"make it b\"}\n\n"
               "{\"source\": \"pictures/b.jpg\", \"target\": \"pictures/a.png\", \"instruction\": "
               "[\"a\", \"b\"], "
               "\"task\": \"swap\"}\n");
  for (const Path& place : {folder.path(), folder / "pairs.jsonl"}) {
    const EditDataset dataset(folder_config(place));
    ASSERT_EQ(dataset.size(), 2);
    const EditSample first = decode(dataset.read(0));
    EXPECT_EQ(first.instructions, Names{"make it b"});
    EXPECT_EQ(*first.source.image.at(0, 0), 0);
    EXPECT_EQ(*first.target.image.at(0, 0), 1);
    EXPECT_EQ(dataset.read(1).instructions, (Names{"a", "b"}));
    EXPECT_EQ(dataset.where(1), (folder / "pairs.jsonl").string() + ": line 3");
    EXPECT_EQ(dataset.task_counts().back(), (std::pair<std::string, int64_t>{"swap", 1}));
    EXPECT_FALSE(dataset.rules(0).crop_the_noise);
  }
}

TEST(FolderRows, ALineThatCannotBeReadIsARowThatCannot) {
  const TemporaryFolder folder;
  folder.write("a.png", numbered_png(0));
  folder.write("pairs.jsonl",
               "{\"source\": \"a.png\", \"target\": \"a.png\"}\n"
               "{\"source\": \"a.png\", \"target\": \"a.png\", \"instruction\": \"x\"}\n");
  const EditDataset dataset(folder_config(folder.path()));
  ASSERT_EQ(dataset.size(), 2);
  EXPECT_EQ(dataset.read(1).instructions, Names{"x"});
  EXPECT_NE(error_of<DataError>([&] { dataset.read(0); }).find("line 1: expected an object"),
            std::string::npos);
}

TEST(FolderRows, ByName) {
  const TemporaryFolder folders, flat;
  for (const char* name : {"1", "two"}) {
    folders.write(str("source/", name, ".png"), numbered_png(3));
    folders.write(str("target/", name, ".jpg"), numbered_png(4));
    folders.write(str("instruction/", name, ".txt"), str("  edit ", name, "\n"));
    flat.write(str(name, "_source.png"), numbered_png(3));
    flat.write(str(name, "_target.webp"), numbered_png(4));
    flat.write(str(name, ".txt"), str("edit ", name));
  }
  for (const Path& place : {folders.path(), flat.path()}) {
    const EditDataset dataset(folder_config(place));
    ASSERT_EQ(dataset.size(), 2);
    EXPECT_EQ(dataset.read(1).instructions, Names{"edit two"});
    EXPECT_EQ(*decode(dataset.read(0)).target.image.at(0, 0), 4);
  }
}

TEST(FolderRows, WhatDoesNotFitIsNamed) {
  const auto error = [](const TemporaryFolder& folder) {
    try {
      EditDataset{folder_config(folder.path())};
    } catch (const Error& error) {
      return std::string(error.what());
    }
    return std::string();
  };
  const auto line = [&](const std::string& text) {
    const TemporaryFolder folder;
    folder.write("x.jsonl", text);
    return error(folder);
  };
  EXPECT_NE(line("{\"source\": \"a.png\"}").find("x.jsonl: line 1: expected an object with"),
            std::string::npos);
  EXPECT_NE(line("\nnonsense").find("line 2: this is no JSON object"), std::string::npos);
  EXPECT_NE(line("[1]").find("no JSON object"), std::string::npos);
  EXPECT_NE(line("{\"source\":\"a\",\"target\":\"b\",\"instruction\":[]}").find("empty list"),
            std::string::npos);
  EXPECT_NE(line("{\"source\":\"a\",\"target\":\"b\",\"instruction\":[1]}").find("not all text"),
            std::string::npos);
  EXPECT_NE(
      line("{\"source\":\"a\",\"target\":5,\"instruction\":\"x\"}").find("\"target\" is no text"),
      std::string::npos);
  EXPECT_NE(line("").find("no pair of pictures"), std::string::npos);
  {
    const TemporaryFolder folder;
    folder.write("source/a.png", "");
    folder.write("target/b.png", "");
    EXPECT_NE(error(folder).find("b.png: there is no source of that name"), std::string::npos);
    folder.write("source/b.png", "");
    folder.write("target/a.png", "");
    EXPECT_NE(error(folder).find("there is no instruction"), std::string::npos);
    folder.write("source/a.jpg", "");
    EXPECT_NE(error(folder).find("two pictures named a"), std::string::npos);
  }
  {
    const TemporaryFolder folder;
    folder.write("1.jsonl", "");
    folder.write("2.jsonl", "");
    EXPECT_NE(error(folder).find("2 JSONL files"), std::string::npos);
  }
  EXPECT_THROW(EditDataset{folder_config("/nowhere")}, NoInputError);
}

}  // namespace
}  // namespace icedit
