/* direct_switch.pml - park, ready and the direct switch from G to G.
 *
 * Models: semawait and semawake of core/sema.c; gopark, goready, goyield, goexit,
 *	switchaway, afterswitch, reap and schedloop of core/proc.c; gswitch of
 *	asm/x86_64/gogo.S, in as many steps as another M can tell apart.
 * See:	"Enqueued but not saved" in core/proc.c.
 *
 * Two Ms, each with a P, and three Gs. A G is data (what it does next, its
 * registers, its stack), not a process: only so can two Ms run one G by mistake.
 * The main G makes the other two, which work, and joins them. Three kinds of
 * work:
 *	RING   both park and wake each other between enqueue and save, as the
 *	       unlock of a condition wait may: a ring of wakers
 *	COND   both wait for a condition, with a mutex, that the main G signals
 *	INTR   a wait is interrupted, by another M or by the waiter itself, which
 *	       is then on its own run queue before it is saved
 * PREEMPTS times a running G outside core yields or is preempted.
 *
 * Checked: 1. a G is never run by two Ms, on two queues, or readied when it does
 *	   not wait;
 *	2. registers are loaded only after they were saved, to a stack that nobody
 *	   is on;
 *	3. a stack is freed only when nobody is on it, and the joiner is woken
 *	   then;
 *	4. every wake-up arrives: no run stops before all Gs have ended; and ltl
 *	   live: all do end, under weak fairness, so giving up and trying again is
 *	   no livelock.
 *
 * The model does all that the code does and more: queues are sets (any order),
 * any victim is stolen from, the wait for oncpu can be given up at once, a park
 * can pass through g0 although a G is at hand. Memory is sequentially consistent:
 * stores are seen in order on x86, which is what the save and the clearing of
 * oncpu need, and every other hand-over goes through a locked operation.
 *
 * Must fail: BAD   goready waits until the G that it wakes is saved: two of them,
 *	      each enqueued and not saved, wait for each other
 *	BAD2  oncpu is cleared before the registers are saved
 *	BAD3  gswitch waits for the next G while still on the stack that it leaves
 *	BAD4  an exiting G frees its stack and wakes its joiner itself
 *	BAD5  m->locks is dropped between enqueue and save: a preemption puts a G
 *	      that waits on a run queue
 *	BAD6  the value is compared before the bucket is locked: lost wake-up
 *	BAD7  the next G is loaded without a look at its oncpu
 */
#ifndef ROUNDS
#define ROUNDS 2
#endif
#ifndef PREEMPTS
#define PREEMPTS 1
#endif

#define NG 3		/* 0 and 1: workers; 2: the main G */
#define NONE 3		/* no G; as the G to switch to: g0 */
#define MAIN 2
#define GLOBAL 2	/* queue 0, 1: of the P of M 0, 1 */
#define JOIN 2		/* the word that the joiner waits for */

mtype = { RING, COND, INTR };
mtype = { Gidle, Grunnable, Grunning, Gwaiting, Gdead };
mtype = { WAIT, POST, NEW, KICK, EXIT };

mtype workload;
mtype status[NG];
bit oncpu[NG];		/* gobuf.oncpu */
bit saved[NG];		/* gobuf.sp and the stack below it are good */
byte users[NG];		/* Ms whose stack pointer is in the G's stack */
byte pc[NG];		/* how far the G's program is */
bit parked[NG];		/* it has parked in this operation already */
bit interrupted[NG];
byte queue[3];		/* run queues: a bit a G */
byte value[3];		/* futex words; the bucket of each: */
bit locked[3];		/*   its lock */
byte waiters[3];	/*   who is enqueued: a bit a G */
byte preempts = PREEMPTS;
byte ended;

#define in(set, g) (((set) >> (g)) & 1)

/* Take any G off a set, which is not empty. */
inline pick(set, g)
{
	if
	:: in(set, 0) -> g = 0
	:: in(set, 1) -> g = 1
	:: in(set, 2) -> g = 2
	fi;
	set = set & ~(1 << g)
}

inline lockbucket(w)
{
	atomic { !locked[w] -> locked[w] = 1 }
}

/* goready: owns g, which was taken off its bucket or is new. */
inline goready(g, from)
{
#ifdef BAD
	!oncpu[g];
#endif
	d_step {
		assert(status[g] == from);
		assert(!in(queue[0] | queue[1] | queue[2], g));
		status[g] = Grunnable;
		queue[me] = queue[me] | (1 << g);
		g = NONE
	}
}

/* Make word w true and wake one waiter, if there is any. */
inline post(w)
{
	value[w]++;
	lockbucket(w);
	atomic {
		if
		:: waiters[w] -> pick(waiters[w], woken)
		:: else
		fi;
		locked[w] = 0
	}
	if
	:: woken != NONE -> goready(woken, Gwaiting)
	:: else
	fi
}

/* takeoff and goready: g's wait at word w ends, if it waits. */
inline interrupt(g, w)
{
	lockbucket(w);
	d_step {
		if
		:: in(waiters[w], g) ->
			waiters[w] = waiters[w] & ~(1 << g);
			woken = g
		:: else
		fi;
		locked[w] = 0
	}
	if
	:: woken != NONE -> goready(woken, Gwaiting)
	:: else
	fi
}

/* reap: the last steps of a G whose stack this M has left, in the next context. */
inline reap()
{
	if
	:: dead != NONE ->
		d_step {
			assert(users[dead] == 0 && saved[dead] && !oncpu[dead]);
			ended++
		}
		if
		:: atomic { dead != MAIN -> dead = NONE }
			post(JOIN)
		:: atomic { else -> dead = NONE }
		fi
	:: else
	fi
}

/* What G cur does next: op on word or G arg; a WAIT also posts arg2 (or NONE). */
inline fetch()
{
	d_step {
		arg = cur; arg2 = NONE;
		if
		:: cur == MAIN ->
			if
			:: pc[cur] < 2 -> op = NEW; arg = pc[cur]
			:: pc[cur] == 2 && workload == COND -> op = WAIT; arg = 0
			:: pc[cur] == 3 && workload == COND -> op = POST; arg = 1
			:: pc[cur] == 4 && workload == COND -> op = POST; arg = 1
			:: pc[cur] == 5 && workload == COND -> op = POST; arg = 0
			:: pc[cur] == 2 && workload == INTR -> op = KICK; arg = 0
			:: pc[cur] >= 2 && pc[cur] < 6 && (workload == RING ||
			   (workload == INTR && pc[cur] > 2)) ->
				pc[cur] = 6; op = WAIT; arg = JOIN
			:: pc[cur] == 6 || pc[cur] == 7 -> op = WAIT; arg = JOIN
			:: pc[cur] == 8 -> op = EXIT
			fi
		:: cur != MAIN && workload == RING ->
			if
			:: pc[cur] < ROUNDS -> op = WAIT; arg2 = 1 - cur
			:: else -> op = EXIT
			fi
		:: cur != MAIN && workload == COND ->
			/* word 0 is the mutex, word 1 the condition */
			if
			:: pc[cur] == 0 || pc[cur] == 2 -> op = WAIT; arg = 0
			:: pc[cur] == 1 -> op = WAIT; arg = 1; arg2 = 0
			:: pc[cur] == 3 -> op = POST; arg = 0
			:: pc[cur] == 4 -> op = EXIT
			fi
		:: cur != MAIN && workload == INTR ->
			if
			:: pc[cur] == 0 -> op = WAIT; arg2 = (cur == 0 -> 1 : NONE)
			:: else -> op = EXIT
			fi
		fi
	}
}

proctype M(byte me; byte cur)
{
	byte next = NONE, woken = NONE, dead = NONE;
	byte arg, arg2;
	mtype op;
	bit locks, more;

	if
	:: cur == NONE -> goto g0
	:: else
	fi;

	/* ---- on the stack of G cur ------------------------------------------ */
resumed:
	/* afterswitch */
	status[cur] = Grunning;
	reap();
	locks = 0;
user:
	if
	:: skip
	:: atomic { preempts > 0 && !locks -> preempts-- }
		goto yield
	fi;
	fetch();
	if
	:: op == NEW ->
		goready(arg, Gidle);
		pc[cur]++;
		goto user
	:: op == POST ->
		post(arg);
		pc[cur]++;
		goto user
	:: op == KICK ->
		interrupted[arg] = 1;
		interrupt(arg, arg);
		pc[cur]++;
		goto user
	:: op == EXIT ->
		locks = 1;
		d_step { status[cur] = Gdead; dead = cur }
#ifdef BAD4
		reap();
#endif
		goto park
	:: op == WAIT ->
		skip
	fi;

	/* A wait loops: the value may be gone again when the waiter runs. */
	if
	:: atomic { workload == INTR && parked[cur] && arg != JOIN ->
		more = 0 }
	:: atomic { !(workload == INTR && parked[cur] && arg != JOIN) &&
		value[arg] > 0 -> value[arg]--; more = 0 }
	:: atomic { !(workload == INTR && parked[cur] && arg != JOIN) &&
		value[arg] == 0 -> more = 1 }
	fi;
	if
	:: more ->
		locks = 1;
		lockbucket(arg);
		if
#ifndef BAD6
		:: atomic { value[arg] > 0 -> locked[arg] = 0 }
			locks = 0;
			goto user	/* EAGAIN: the caller looks again */
		:: atomic { value[arg] == 0 -> more = 0 }
#else
		:: more = 0
#endif
		fi;
		d_step {
			status[cur] = Gwaiting;
			assert(!in(waiters[arg], cur));
			waiters[arg] = waiters[arg] | (1 << cur);
			more = !parked[cur];	/* the mutex is unlocked once */
			parked[cur] = 1
		}
		locked[arg] = 0;
#ifdef BAD5
		locks = 0;
		if
		:: skip
		:: atomic { preempts > 0 && !locks -> preempts-- }
			goto yield
		fi;
#endif
		if
		:: workload == INTR && interrupted[cur] ->
			interrupt(cur, arg)
		:: else
		fi;
		if
		:: more && arg2 != NONE -> post(arg2)
		:: else
		fi;
		goto park
	:: else ->
		/* no wait, or none any more: unlock if it was not done yet */
		if
		:: arg2 != NONE && !parked[cur] -> post(arg2)
		:: else
		fi;
		d_step { parked[cur] = 0; pc[cur]++ }
		goto user
	fi;

	/* goyield, or asyncpreempt: runnable, on a queue, and not saved */
yield:
	locks = 1;
	d_step {
		assert(!in(queue[0] | queue[1] | queue[2], cur));
		status[cur] = Grunnable
	}
	if
	:: queue[me] = queue[me] | (1 << cur)
	:: queue[GLOBAL] = queue[GLOBAL] | (1 << cur)
	fi;

	/* directnext, then gswitch: from cur to next. NONE is g0, which nobody else
	 * runs. next == cur is possible: an interrupted G readied itself. */
park:
	if
	:: atomic { queue[me] -> pick(queue[me], next) }
	:: skip
	fi;
	d_step { op = 0; arg = 0; arg2 = 0; more = 0 }
#ifdef BAD2
	oncpu[cur] = 0;
	d_step { saved[cur] = 1; users[cur]-- }
#else
	saved[cur] = 1;
#ifndef BAD3
	users[cur]--;	/* on g0's stack from here on */
#endif
	oncpu[cur] = 0;
#endif
#ifndef BAD3
	cur = NONE;
#endif

	/* ---- on g0's stack, within gswitch ---------------------------------- */
wait:
	if
	:: next == NONE -> goto g0
#ifdef BAD7
	:: else
#else
	:: next != NONE && !oncpu[next]
	:: next != NONE && oncpu[next] -> goto g0	/* gave up */
#endif
	fi;
	d_step {
		assert(status[next] == Grunnable);
		assert(!in(queue[0] | queue[1] | queue[2], next));
		assert(!oncpu[next] && saved[next]);
		assert(users[next] == 0);
#ifdef BAD3
		if
		:: cur != NONE -> users[cur]--
		:: else
		fi;
#endif
		oncpu[next] = 1;
		saved[next] = 0;
		users[next]++;
		cur = next;
		next = NONE;
		locks = 1
	}
	goto resumed;

	/* ---- on g0: schedloop --------------------------------------------- */
g0:
#ifdef BAD3
	if
	:: atomic { cur != NONE -> users[cur]--; cur = NONE }
	:: else
	fi;
#endif
	reap();
	/* requeuebusy: gswitch gave up on next */
	if
	:: d_step { next != NONE ->
		queue[GLOBAL] = queue[GLOBAL] | (1 << next); next = NONE }
	:: else
	fi;
	/* findrunnable: blocks where the M would sleep, see dance.pml */
	if
	:: atomic { queue[me] -> pick(queue[me], next) }
	:: atomic { !queue[me] && queue[GLOBAL] -> pick(queue[GLOBAL], next) }
	:: atomic { !queue[me] && queue[1 - me] -> pick(queue[1 - me], next) }
	:: ended == NG -> goto done
	fi;
	goto wait;
done:
	assert(!(queue[0] | queue[1] | queue[2]))
}

init {
	atomic {
#ifdef WORKLOAD
		workload = WORKLOAD;
#else
		if
		:: workload = RING
		:: workload = COND
		:: workload = INTR
		fi;
#endif
		if
		:: workload == COND -> value[0] = 1
		:: workload == INTR -> value[1] = 0
		:: else
		fi;
		status[0] = Gidle; saved[0] = 1;
		status[1] = Gidle; saved[1] = 1;
		status[MAIN] = Grunning; oncpu[MAIN] = 1; users[MAIN] = 1;
		run M(0, MAIN);
		run M(1, NONE)
	}
}

ltl live { <> (ended == NG) }
