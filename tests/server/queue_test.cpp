#include "server/queue.h"

#include <gtest/gtest.h>

#include "server/store.h"

namespace icedit::server {
namespace {

using namespace std::chrono_literals;

std::shared_ptr<Job> job(const std::string& id, const std::string& client, size_t bytes = 1) {
  JobInput input;
  input.image = std::string(bytes, 'x');
  return std::make_shared<Job>(id, client, std::move(input));
}

std::shared_ptr<const JobResult> picture(size_t bytes) {
  auto result = std::make_shared<JobResult>();
  result->bytes = std::string(bytes, 'x');
  return result;
}

std::string drained(JobQueue& queue) {
  std::string ids;
  while (const auto next = queue.pop(0ms)) ids += next->id + " ";
  return ids;
}

TEST(JobQueue, ClientsTakeTurns) {
  JobQueue queue(100);
  for (const char* id : {"a1", "a2", "a3"}) queue.push(job(id, "a"));
  queue.push(job("b1", "b"));
  queue.push(job("c1", "c"));
  queue.push(job("c2", "c"));
  EXPECT_EQ(drained(queue), "a1 b1 c1 a2 c2 a3 ");
}

TEST(JobQueue, TellsPositionsAsTheyWillBeTaken) {
  JobQueue queue(100);
  const auto a1 = job("a1", "a"), a2 = job("a2", "a"), b1 = job("b1", "b");
  std::vector<size_t> seen;
  a2->listen([&](Job::Change, const JobStatus& status) { seen.push_back(status.position); });
  queue.push(a1), queue.push(a2), queue.push(b1);
  EXPECT_EQ(a1->status().position, 0U);
  EXPECT_EQ(b1->status().position, 1U);
  EXPECT_EQ(a2->status().position, 2U);
  queue.pop(0ms);
  EXPECT_EQ(seen, (std::vector<size_t>{1, 2, 1}));
  EXPECT_TRUE(queue.remove(*b1));
  EXPECT_FALSE(queue.remove(*b1));
  EXPECT_EQ(a2->status().position, 0U);
  EXPECT_EQ(queue.size(), 1U);
}

TEST(JobQueue, GivesThoseThatFitInTurns) {
  JobQueue queue(100);
  for (const char* id : {"a1", "a2", "a3"}) queue.push(job(id, "a"));
  for (const char* id : {"b1", "b2"}) queue.push(job(id, "b"));
  queue.push(job("c1", "c"));
  std::string ids;
  const auto fits = [](const Job& job) { return job.id != "b1" && job.id != "a3"; };
  for (const auto& one : queue.pop_fitting(2, fits)) ids += one->id + " ";
  EXPECT_EQ(ids, "a1 c1 ");
  for (const auto& one : queue.pop_fitting(5, fits)) ids += one->id + " ";
  EXPECT_EQ(ids, "a1 c1 a2 ");
  EXPECT_EQ(queue.size(), 3U);
  EXPECT_EQ(drained(queue), "b1 a3 b2 ");
}

TEST(JobQueue, OneClientLeavesRoomForOthers) {
  JobQueue queue(8);
  int taken = 0;
  for (int i = 0; i < 100; ++i) taken += queue.push(job("a", "a")) ? 1 : 0;
  EXPECT_EQ(taken, 6);
  EXPECT_TRUE(queue.push(job("b", "b")));
  EXPECT_TRUE(queue.push(job("c", "c")));
  EXPECT_FALSE(queue.push(job("d", "d")));
  EXPECT_EQ(queue.pop(0ms)->id, "a");
  EXPECT_EQ(queue.pop(0ms)->id, "b");
  JobQueue small(1);
  EXPECT_TRUE(small.push(job("a", "a")));
  EXPECT_FALSE(small.push(job("b", "b")));
}

TEST(Job, TellsEveryChangeUntilItsEnd) {
  const auto one = job("a", "a");
  std::vector<Job::Change> seen;
  one->listen([&](Job::Change change, const JobStatus&) { seen.push_back(change); });
  EXPECT_TRUE(one->start());
  EXPECT_FALSE(one->start());
  one->set_step(0, 1, 2);
  one->set_preview("PNG");
  EXPECT_EQ(one->status().preview_index, 1);
  one->set_step(1, 1, 2);  // of the next image
  EXPECT_EQ(one->status().preview_index, 0);
  one->finish({picture(5)});
  EXPECT_EQ(one->bytes(), 5U);  // the upload is let go of
  using C = Job::Change;
  EXPECT_EQ(seen, (std::vector<C>{C::kStage, C::kStep, C::kPreview, C::kStep, C::kOver}));
  bool told = false;
  one->listen(
      [&](C change, const JobStatus& status) { told = change == C::kOver && status.over(); });
  EXPECT_TRUE(told);
}

TEST(Job, OneThatIsCancelledBeforeItsTurnDoesNotStart) {
  const auto one = job("a", "a");
  one->end_cancelled();
  EXPECT_FALSE(one->start());
  EXPECT_EQ(one->status().state, JobState::kCancelled);
}

TEST(JobQueue, HoldsSoManyBytes) {
  JobQueue queue(10, 100);
  const auto large = job("l", "a", 150);
  EXPECT_TRUE(queue.push(large));  // alone it may be
  EXPECT_FALSE(queue.push(job("s", "b", 1)));
  EXPECT_TRUE(queue.remove(*large));
  EXPECT_TRUE(queue.push(job("s", "b", 60)));
  EXPECT_FALSE(queue.push(job("t", "c", 60)));
}

TEST(JobStore, KeepsWhatIsUnderWayAndTheNewestResults) {
  JobStore store(1h, 10);
  const auto waiting = job("w", "a", 90), first = job("f", "a"), second = job("s", "a");
  for (const auto& one : {waiting, first, second}) store.add(one);
  EXPECT_EQ(store.under_way("a").size(), 3U);
  EXPECT_EQ(store.under_way("b").size(), 0U);
  first->finish({picture(5)});
  second->finish({picture(5)});
  store.sweep();
  EXPECT_EQ(store.bytes(), 100U);
  const auto third = job("t", "a", 1);
  store.add(third);
  third->finish({picture(1)});
  store.sweep();  // one byte too much: the oldest goes
  EXPECT_NE(store.find("w"), nullptr);
  EXPECT_EQ(store.find("f"), nullptr);
  EXPECT_NE(store.find("s"), nullptr);
  store.forget(*third);
  EXPECT_EQ(store.find("t"), nullptr);
  JobStore brief(0s, 100);
  brief.add(second);
  brief.sweep();
  EXPECT_EQ(brief.find("s"), nullptr);
}

}  // namespace
}  // namespace icedit::server
