/* turn.pml - a wake-up and a waiter that need not queue up.
 *
 * Models: semawaitturn, handsover, leaveturn and sematurned of core/sema.c with turnwoken of
 *	core/proc.c, inqueue, takeone and takeall of shim/pthread_cond.c.
 * See:	"A turn instead of a place in the queue" in core/sema.c.
 *
 * Some take tickets, under a mutex, and wait while there is none: in the place, if it is
 * free, or in the queue. Who has the place looks once, at any time, whether it was woken
 * there, and moves to the queue if not. Others give tickets, one at a time, and signal, with
 * the mutex or after it; the last ones are given at once, with a broadcast. All tickets are
 * used, so whoever is not woken is found waiting at the end. With -DDESTROY there is the
 * broadcast alone, one ticket for each, and the object is gone after it.
 *
 * What one stores reaches the others in that order, at once: what is stored before a load
 * is stored under the mutex or the queue's lock, or before a CAS.
 *
 * Who is about to wait in the place and has the mutex may hand it to another one that has been
 * woken there and was not seen running since. That one may be run by others at any time
 * until it is chosen (the CAS on runnext in turnwoken).
 *
 * Checked: 1. nobody waits at the end;
 *	2. who was woken does not touch the object, nor does who wakes it in its place;
 *	3. who is handed the mutex has been woken, and has it.
 *
 * Must fail: BAD   who wakes does not wait for one that is about to queue up
 *	BAD2  it looks at the queue, then at the place
 *	BAD3  the place is free as soon as somebody is woken there, or leaves it
 *	BAD4  it is marked free after its owner was woken
 *	BAD5  a waker whose turn has come too late does not look who has the place now
 *	BAD6  who has the place looks at the object to leave it
 *	BAD7  a waker that has seen somebody in the queue, and then nobody, does not look
 *	      at the place
 *	BAD8  the mutex is handed to one that others may run meanwhile
 */
#ifndef NW
#define NW 2		/* who take, */
#endif
#ifndef ROUNDS
#define ROUNDS 2	/* so many each */
#endif
#ifndef NS
#define NS 2		/* who give one after the other */
#endif
#define ALLTICKETS (NW * ROUNDS)
#define NOBODY 7

#define NONE 0		/* gp->turnat */
#define TURN 1
#define TURNED 2
#define LEAVING 3

bit mutex, bucket;
byte tickets;
byte nwait;
byte queue;		/* a bit each */
bit taken;
byte last = NOBODY;
byte turnat[NW];
bit woken[NW];
bit off[NW];		/* gp->turnlock: others may run it, and it wants the mutex */
bit given[NW];		/* it has it */
bit gone;		/* the object */

inline lock(l)
{
	atomic { l == 0 -> l = 1 }
}

#ifdef DESTROY
#define touch assert(!gone)
#else
#define touch true
#endif

/* last is written under the mutex only */
#ifdef BAD3
#define OCCUPIED taken
#else
#define OCCUPIED (last < NW && last != me && \
		  (turnat[last] == TURN || turnat[last] == LEAVING))
#endif

#define CHOICE(i) (i != me && off[i] && turnat[i] == TURNED)

proctype taker(byte me)
{
	byte n = 0, to;

	do
	:: n == ROUNDS -> break
	:: n < ROUNDS ->
		lock(mutex);
		do
		:: tickets > 0 -> break
		:: tickets == 0 ->
			if
			:: atomic { !OCCUPIED -> touch; turnat[me] = TURN };
				last = me;
				taken = 1;
				if
				:: to = me
				:: atomic { CHOICE(0) -> to = 0 }
				:: atomic { CHOICE(1) -> to = 1 }
#if NW > 2
				:: atomic { CHOICE(2) -> to = 2 }
#endif
				fi;
				if
#ifdef BAD8
				:: atomic { to != me -> given[to] = 1; off[me] = 1 }
#else
				:: atomic { to != me && off[to] ->
					    off[to] = 0; given[to] = 1; off[me] = 1 }
#endif
				:: atomic { to == me || !off[to] ->
					    mutex = 0; off[me] = 1 }
				fi;
				/* it is run */
				if
				:: atomic { given[me] -> given[me] = 0 };
					assert(turnat[me] == TURNED);
					goto have
				:: atomic { off[me] && turnat[me] == TURNED ->
					    off[me] = 0 };
					goto back
				:: atomic { off[me] && bucket == 0 ->
					    off[me] = 0; bucket = 1 }
				fi;
				/* leaveturn */
				if
				:: atomic { turnat[me] == TURN -> turnat[me] = LEAVING }
				:: else ->
#ifdef BAD6
					touch;
#endif
					bucket = 0;
					goto back
				fi;
				atomic { touch; nwait++ };
				taken = 0;
				turnat[me] = NONE;
				atomic { queue = queue | (1 << me); bucket = 0 }
			:: lock(bucket);
				atomic { touch; nwait++ };
				atomic { queue = queue | (1 << me); bucket = 0 };
				mutex = 0
			fi;
			atomic { woken[me] -> woken[me] = 0 }
back:			lock(mutex);
have:			assert(mutex)
		od;
		atomic { assert(mutex); tickets--; mutex = 0; n++ }
	od
}

/* Sets r; holds the queue's lock or not. */
inline sematurned(held)
{
	do
	:: true ->
		atomic { touch; gp = last };
		if
		:: gp == NOBODY -> r = 0; break
		:: else
		fi;
		at = turnat[gp];
		if
		:: at != TURN ->
#ifndef BAD
			if
			:: !held && at == LEAVING -> lock(bucket); bucket = 0
			:: else
			fi;
#endif
			r = 0;
			break
		:: else
		fi;
#ifndef BAD4
		atomic { touch; taken = 0 }
#endif
		if
		:: atomic { turnat[gp] == TURN -> turnat[gp] = TURNED; r = 1 }
#ifdef BAD4
			taken = 0;
#endif
			break
		:: else ->
#ifdef BAD5
			r = 0;
			break
#endif
		fi
	od
}

inline take(i)
{
	queue = queue & ~(1 << i);
	nwait--;
	woken[i] = 1
}

/* Which of those that wait in the queue is woken does not matter. */
/* inqueue, and semapick. */
inline wake(all)
{
#ifdef BAD2
	atomic { touch; q = nwait > 0 };
	t = taken;
#else
	atomic { touch; t = taken };
	atomic { touch; q = nwait > 0 };
#endif
	if
	:: t && (all || !q) ->
		sematurned(false);
		q = (!r || all) && nwait > 0
	:: else
	fi;
#ifdef BAD7
	q = q && nwait > 0;
#endif
	if
	:: q ->
		lock(bucket);
		if
		:: queue == 0 && !all -> sematurned(true)
		:: else ->
			atomic {
				touch;
				i = 0;
				do
				:: i < NW && !(queue & (1 << i)) -> i++
				:: i < NW && (queue & (1 << i)) ->
					take(i);
					i = (all -> i + 1 : NW)
				:: i == NW -> break
				od
			}
		fi;
		bucket = 0
	:: else
	fi
}

proctype giver(byte n)
{
	byte gp, at, i;
	bit r, t, q, late;

	do
	:: n == 0 -> break
	:: else ->
		if
		:: late = 0
		:: late = 1
		fi;
		lock(mutex);
		atomic { tickets++; mutex = !late };
		wake(false);
		atomic {
			if
			:: !late -> mutex = 0
			:: else
			fi;
			late = 0;
			n--
		}
	od
}

proctype broadcaster(byte n)
{
	byte gp, at, i;
	bit r, t, q;

	lock(mutex);
	tickets = tickets + n;
	wake(true);
#ifdef DESTROY
	gone = 1;
#endif
	mutex = 0
}

init {
	atomic {
		byte i;

		for (i : 0 .. NW - 1) {
			run taker(i)
		}
#ifdef DESTROY
		/* none signals beside it */
		run broadcaster(ALLTICKETS);
#else
		for (i : 1 .. NS) {
			run giver((ALLTICKETS - 1) / NS)
		}
		run broadcaster(ALLTICKETS - NS * ((ALLTICKETS - 1) / NS))
#endif
	}
}
