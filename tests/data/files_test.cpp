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
  EXPECT_NE(error_of<NoInputError>([&] {
              find_parquet({root + "/empty"}, "", "train");
            }).find("no .parquet file in the folder"),
            std::string::npos);
}

// What is found, and the lines that say so.
std::pair<Names, std::string> found_in(const Path& place, const std::string& usual_split,
                                       const std::string& split = "") {
  ::testing::internal::CaptureStderr();
  const Names found = names(find_parquet({place.string()}, split, usual_split));
  return {found, ::testing::internal::GetCapturedStderr()};
}

TEST(FindParquet, AnotherSplitIsLeftOutAndNamed) {
  const TemporaryFolder folder;
  for (const char* name :
       {"named/training.parquet", "named/test.parquet", "named/val-00000-of-00001.parquet",
        "unnamed/a.parquet", "unnamed/Testing_2.parquet", "unnamed/latest.parquet",
        "folders/train/0.parquet", "folders/test/0.parquet", "evaluation/0.parquet",
        "spark/train.parquet/part-0.parquet", "spark/test.parquet/part-1.parquet",
        "tests only/test.parquet"})
    folder.write(name, "");
  const auto [named, line] = found_in(folder / "named", "train+dev");
  EXPECT_EQ(named, Names{"training.parquet"});
  EXPECT_NE(line.find("1 file taken (training.parquet); left out: "
                      "test.parquet, val-00000-of-00001.parquet"),
            std::string::npos)
      << line;
  EXPECT_EQ(found_in(folder / "named", "test").first, Names{"test.parquet"});
  EXPECT_EQ(found_in(folder / "named", "train", "train+test").first,
            (Names{"training.parquet", "test.parquet"}));
  EXPECT_EQ(found_in(folder / "unnamed", "train").first, (Names{"a.parquet", "latest.parquet"}));
  const auto [inner, inner_line] = found_in(folder / "folders/", "train");
  EXPECT_EQ(inner, Names{"0.parquet"});
  EXPECT_NE(inner_line.find("(train/0.parquet); left out: test/0.parquet"), std::string::npos)
      << inner_line;
  EXPECT_EQ(found_in(folder / "evaluation", "train").second.find("left out"), std::string::npos);
  EXPECT_EQ(found_in(folder / "spark", "train").first, Names{"part-0.parquet"});
  const auto [tests, warning] = found_in(folder / "tests only", "train");
  EXPECT_EQ(tests, Names{"test.parquet"});
  EXPECT_NE(warning.find("warning: "), std::string::npos) << warning;
  EXPECT_EQ(found_in(folder / "named", "").second, "");
}

TEST(FindParquet, WhatCounts) {
  const TemporaryFolder folder;
  for (const char* name :
       {"all/a.parquet", "all/._a.parquet", "all/.ipynb_checkpoints/a.parquet",
        "all/__MACOSX/a.parquet", "all/.cache/b.parquet", "all/UPPER.PARQUET", "linked/c.parquet",
        ".hidden/d.parquet", "spark/e.parquet/part-0.parquet", "spark/e.parquet/_SUCCESS",
        "[v2] {x}/f.parquet"})
    folder.write(name, "");
  const Path all = folder / "all";
  std::filesystem::create_directory_symlink("../linked", all / "more");
  std::filesystem::create_directory_symlink("../all", folder / "linked/back");  // a circle
  std::filesystem::create_symlink("nothing", all / "gone.parquet");
  EXPECT_EQ(found_in(all, "train").first,
            (Names{"UPPER.PARQUET", "a.parquet", "gone.parquet", "c.parquet"}));
  EXPECT_EQ(found_in(folder / ".hidden", "train").first, Names{"d.parquet"});  // asked for
  EXPECT_EQ(found_in(folder / "spark/*.parquet", "train").first, Names{"part-0.parquet"});
  EXPECT_EQ(found_in(folder / "[v2] {x}/*.parquet", "train").first, Names{"f.parquet"});
  EXPECT_EQ(found_in(folder / "[v2] {x}", "train").first, Names{"f.parquet"});
  EXPECT_EQ(found_in(all / "[ab].parquet", "train").first, Names{"a.parquet"});  // still a class
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

TEST(FolderRows, NamesInAnyForm) {
  const TemporaryFolder folder, list;
  folder.write("source/\u00e9t\u00e9.png", numbered_png(3));
  folder.write("target/e\u0301te\u0301.PNG", numbered_png(4));
  folder.write("instruction/\u00e9te\u0301.TXT", "winter");
  for (const char* hidden : {"source/._\u00e9t\u00e9.png", "target/.x.png", "._pairs.jsonl"})
    folder.write(hidden, std::string("\0\5\26\7", 4));
  list.write("e\u0301.png", numbered_png(3));
  list.write("\u00e9t.png", numbered_png(4));
  list.write("X.JSONL",
             "{\"source\": \"\u00e9.png\", \"target\": \"e\u0301t.png\", "
             "\"instruction\": \"winter\"}");
  for (const Path& place : {folder.path(), list.path()}) {
    const EditDataset dataset(folder_config(place));
    ASSERT_EQ(dataset.size(), 1);
    EXPECT_EQ(dataset.read(0).instructions, Names{"winter"});
    EXPECT_EQ(*decode(dataset.read(0)).target.image.at(0, 0), 4);
  }
}

TEST(FolderRows, PicturesAreToldByTheirContentWhereTheNameIsUnknown) {
  const TemporaryFolder folder;
  const auto add = [&folder](const std::string& name, const std::string& target,
                             const std::string& content) {
    folder.write("source/" + name + ".png", numbered_png(3));
    folder.write("target/" + target, content);
    folder.write("instruction/" + name + ".txt", "x");
  };
  add("a", "a.jfif", numbered_png(4));
  folder.write("target/a.txt", "BM, a note beside it");
  add("b", "b.bmp", "BM and so on");
  folder.write("target/c.tif", std::string("II*\0", 4));
  add("c", "c.png", numbered_png(5));
  const EditDataset dataset(folder_config(folder.path()));
  ASSERT_EQ(dataset.size(), 3);
  EXPECT_EQ(*decode(dataset.read(0)).target.image.at(0, 0), 4);
  const std::string error = error_of<DataError>([&] { dataset.read(1); });
  EXPECT_NE(error.find((folder / "target/b.bmp").string() + ": this is a BMP file"),
            std::string::npos)
      << error;
  EXPECT_EQ(*decode(dataset.read(2)).target.image.at(0, 0), 5);
}

// {what the file holds, what the error says; "" where "make it red" is read}.
const std::vector<std::pair<std::string, std::string>> kEncodings = {
    {"make it red", ""},
    {"\xef\xbb\xbfmake it red", ""},
    {std::string("\xff\xfem\0a\0k\0e\0", 10), "UTF-16"},
    {std::string("\xfe\xff\0m\0a\0k\0e", 10), "UTF-16"},
    {std::string("m\0a\0k\0e\0", 8), "UTF-16"},
    {std::string("\xff\xfe\0\0m\0\0\0a\0\0\0", 12), "UTF-32"},
    {"the caf\xe9\x92s wall", "no valid UTF-8; is it in another encoding, such as Windows-1252"},
    {std::string("make it\0 red", 12), "NUL"}};

TEST(FolderRows, TextInAnotherEncoding) {
  const TemporaryFolder names, lists, first;
  const auto name = [](size_t i) { return str("p", i); };
  std::string lines;
  for (size_t i = 0; i < kEncodings.size(); ++i) {
    names.write("source/" + name(i) + ".png", numbered_png(3));
    names.write("target/" + name(i) + ".png", numbered_png(4));
    names.write("instruction/" + name(i) + ".txt", kEncodings[i].first);
    lines += str("{\"source\": \"", name(i), "\", \"target\": \"x\", \"instruction\": \"",
                 kEncodings[i].first, "\"}\n");
  }
  const EditDataset by_name(folder_config(names.path()));
  ASSERT_EQ(by_name.size(), int64_t(kEncodings.size()));
  for (size_t i = 0; i < kEncodings.size(); ++i) {
    const std::string& problem = kEncodings[i].second;
    if (problem.empty()) {
      EXPECT_EQ(by_name.read(int64_t(i)).instructions, Names{"make it red"}) << i;
      continue;
    }
    const std::string error = error_of<DataError>([&] { by_name.read(int64_t(i)); });
    EXPECT_NE(error.find(str(name(i), ".txt")), std::string::npos) << error;
    EXPECT_NE(error.find(problem), std::string::npos) << error;
  }
  lists.write("x.jsonl", lines);
  lists.write("x", "");
  for (size_t i = 0; i < kEncodings.size(); ++i) lists.write(name(i), "");
  const EditDataset by_line(folder_config(lists.path()));
  for (size_t i = 2; i < kEncodings.size(); ++i) {
    const std::string error = error_of<DataError>([&] { by_line.read(int64_t(i)); });
    EXPECT_NE(error.find(str("x.jsonl: line ", i + 1)), std::string::npos) << error;
  }
  EXPECT_NE(error_of<DataError>([&] { by_line.read(6); }).find("Windows-1252"), std::string::npos);
  EXPECT_EQ(by_line.read(1).instructions, Names{"make it red"});
  // A mark before the first line, a NUL behind JSON's back, and a file that is another encoding.
  first.write("x", "");
  const std::string rest = "{\"source\": \"x\", \"target\": \"x\", \"instruction\": \"a";
  first.write("x.jsonl", "\xef\xbb\xbf" + rest + "\"}\n" + rest + "\\u0000\"}\n");
  const EditDataset marked(folder_config(first.path()));
  EXPECT_EQ(marked.read(0).instructions, Names{"a"});
  EXPECT_NE(
      error_of<DataError>([&] { marked.read(1); }).find("line 2: the instruction holds a NUL"),
      std::string::npos);
  std::string wide = "\xff\xfe";
  for (const char c : rest + "\"}\n") wide += {c, '\0'};
  first.write("x.jsonl", wide);
  EXPECT_NE(error_of<DataError>([&] {
              EditDataset{folder_config(first.path())};
            }).find("x.jsonl: line 1 is UTF-16 text; save it as UTF-8"),
            std::string::npos);
}

TEST(MagicbrushRows, TextInAnotherEncoding) {
  const TemporaryFolder folder;
  std::vector<std::optional<std::string>> texts, pictures(kEncodings.size(), "p");
  for (const auto& [text, problem] : kEncodings) texts.push_back(text);
  write_parquet(folder / "x.parquet", {{"source_img", WrittenColumn::kStruct, pictures},
                                       {"target_img", WrittenColumn::kStruct, pictures},
                                       {"instruction", WrittenColumn::kString, texts}});
  const auto rows = magicbrush_rows({folder / "x.parquet"}, 1 << 20);
  for (size_t i = 0; i < kEncodings.size(); ++i) {
    const std::string& problem = kEncodings[i].second;
    if (problem.empty()) {
      EXPECT_EQ(rows->read(int64_t(i)).instructions, Names{"make it red"}) << i;
      continue;
    }
    const std::string error = error_of<DataError>([&] { rows->read(int64_t(i)); });
    EXPECT_NE(error.find(str("x.parquet: row ", i, ": the instruction")), std::string::npos);
    EXPECT_NE(error.find(problem), std::string::npos) << error;
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
