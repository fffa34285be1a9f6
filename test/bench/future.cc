/*
 * future - two threads in turns by std::promise and std::future, a new pair each way;
 * ns for there and back.
 */
#include "bench.h"
#include <future>
#include <memory>
#include <thread>

/* What is sent says where the answer is to go. */
struct ball {
	std::unique_ptr<std::promise<ball>> answer;
};

static void answers(std::future<ball> from)
{
	for (;;) {
		ball b = from.get();
		auto mine = std::make_unique<std::promise<ball>>();

		if (!b.answer)
			return;
		from = mine->get_future();
		b.answer->set_value(ball{ std::move(mine) });
	}
}

static void pingpong(long n)
{
	auto to = std::make_unique<std::promise<ball>>();
	std::thread other(answers, to->get_future());

	for (; n > 0; n--) {
		auto mine = std::make_unique<std::promise<ball>>();
		std::future<ball> back = mine->get_future();

		to->set_value(ball{ std::move(mine) });
		to = back.get().answer;
	}
	to->set_value(ball{}); /* no answer wanted: the end */
	other.join();
}

int main(int argc, char **argv)
{
	long ms;

	begin(argc, argv);
	ms = number("ms", 200);
	params_done();
	put("round_trip", per_unit(pingpong, ms), "ns");
	return done();
}
