#!/bin/bash
# perl - interpreter threads: queues, shared variables, semaphores, timed
# waits, signals between threads.
. "${0%/*}/common"
need perl
perl -Mthreads -e 1 2>/dev/null || {
	echo "$name: skipped: this perl has no threads" >&9
	exit 77
}

cat >"$work/test.pl" <<'X'
use strict;
use warnings;
use threads;
use threads::shared;
use Thread::Queue;
use Thread::Semaphore;

my $sum : shared = 0;
my ($in, $out) = (Thread::Queue->new, Thread::Queue->new);
my $room = Thread::Semaphore->new(2);
my @t = map { threads->create(sub {
	while (defined(my $x = $in->dequeue)) {
		$room->down;
		{ lock $sum; $sum += $x; }
		$room->up;
		$out->enqueue($x * $x);
	}
	return threads->tid > 0;
}) } 1 .. 8;
$in->enqueue($_) for 1 .. 1500;
$in->end;
my $ended = grep { $_->join } @t;
my $squares = 0;
$squares += $out->dequeue for 1 .. 1500;
print "queue $sum $squares $ended\n";

my $flag : shared = 0;
my $waiter = threads->create(sub {
	lock $flag;
	cond_wait($flag) until $flag;
	my $late = cond_timedwait($flag, time) ? 1 : 0;
	return "$flag $late";
});
{ lock $flag; $flag = 5; cond_broadcast($flag); }
print "condition ", $waiter->join, "\n";

my %seen : shared;
my @many = map { my $n = $_; threads->create({ stack_size => 1 << 18 }, sub {
	my @list = map { [$_] } 1 .. 200;
	lock %seen;
	$seen{$n} = @list;
}) } 1 .. 30;
$_->join for @many;
print "many ", scalar(keys %seen), "\n";

my $killed = threads->create(sub {
	local $SIG{KILL} = sub { threads->exit };
	{ lock $flag; $flag = 9; cond_broadcast($flag); }
	threads->yield, select(undef, undef, undef, 0.001) while 1;
});
{ lock $flag; cond_wait($flag) until $flag == 9; }
$killed->kill('KILL')->join;
print "killed ", ($killed->error ? "with error" : "cleanly"), "\n";
X

body() {
	run perl "$work/test.pl" >out
	grep -q '^queue 1125750 1126125250 8$' out
	cat out
}
compare
