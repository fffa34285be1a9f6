/* retake.pml - whose is an M's P: m->pstate, and taking the P of an M that sleeps.
 *
 * Models: acquirem, acquirem_slow, releasem, acquirep and releasep of
 *	core/runtime.h and core/proc.c, entersyscall and exitsyscall of
 *	core/syscall.c, retake of core/sysmon.c.
 * See:	"THE M'S P" in core/runtime.h.
 *
 * An M for ever runs user code, sleeps in calls that nobody declared, enters core
 * and leaves it, sleeps there too (a page fault, a contended lock), gives its P
 * up and gets one again, maybe another, and makes declared calls, within which it
 * can enter core once more (a callback, a library's own mutex) and even park. It
 * wakes at any instant. sysmon retakes whatever it can. Another M uses every P
 * that comes to be free at once, so that a wrong owner shows.
 *
 * Memory is x86's: the M has a store buffer of SB entries, which empties in order
 * and at any time; locked operations and going to sleep wait until it is empty.
 * So the load of pstate in acquirem can come before the store of locks is seen.
 * The claim is that no fence is needed there, as sysmon takes a P only if /proc,
 * read after RETAKING was set, showed the M asleep, or, from a G that computes for
 * long, after membarrier(2): whatever the M stored before is visible, and whatever
 * it loads after is new. (BAD5 fails without a fence, and holds with -DFENCE.)
 *
 * Checked: 1. no P is taken, or used in core, while another uses it in core;
 *	2. a P has one owner at every hand-over, who knows of it: none is lost;
 *	3. ltl live, under weak fairness: RETAKING is always left, and
 *	   acquirem_slow and exitsyscall come to an end.
 * By hand: -DNM=2 -DNP=1 -DSB=2, two such Ms: 16 million states, 1 GB with
 * cc -DCOLLAPSE, half a minute.
 *
 * Must fail: BAD   sysmon stores TAKEN instead of CAS
 *	BAD2  sysmon does not look at locks
 *	BAD3  sysmon looks at locks before /proc instead of after
 *	BAD4  sysmon looks at /proc before it sets RETAKING
 *	BAD5  sysmon neither looks at /proc nor does membarrier
 *	BAD6  acquirem_slow takes a failed CAS from RETAKING for TAKEN: sysmon may
 *	      have given up and stored HELD
 *	BAD7  exitsyscall tries each CAS once: sysmon gives up in between
 *	BAD8  acquirem_slow within a declared call does as outside of one
 *	BAD9  an M that parks within a declared call gets another P, oldp is lost
 *	BAD10 sysmon goes from SYSCALL to TAKEN at once and reads oldp after that
 *	BAD11 two threads retake at the same time (sysmon, who stops the world)
 *	BAD12 entersyscall does not enter core
 */
#ifndef NM
#define NM 1		/* Ms that sysmon watches */
#endif
#ifndef NP
#define NP 2		/* Ps */
#endif
#ifndef SB
#define SB 4		/* stores that an M's buffer holds */
#endif

#define NOP 7		/* no P */
#define IDLE 8		/* owner: the idle list */
#define OTHER 9		/* owner: the one in other() */

/* m->pstate */
#define HELD 0
#define SYSCALL 1
#define RETAKING 2
#define TAKEN 3
#define NONE 4

/* what an entry of a store buffer changes */
#define LOCKS 0
#define PSTATE 1
#define P 2
#define OLDP 3

byte pstate[NM];
byte mp[NM];		/* m->p */
byte mold[NM];		/* m->oldp */
bit locks[NM];
bit asleep[NM];		/* off the CPU in a call: what /proc shows */
chan buf[NM] = [SB] of { byte, byte };

byte idle;		/* idle Ps: a bit a P */

/* for the assertions only */
byte owner[NP];
bit used[NP];		/* in core */
bit trying[NM];		/* in a loop of acquirem_slow or exitsyscall */

/* The oldest store of M i becomes visible. */
inline drain(i)
{
	buf[i]?what, v;
	if
	:: what == LOCKS -> locks[i] = v
	:: what == PSTATE -> pstate[i] = v
	:: what == P -> mp[i] = v
	:: what == OLDP -> mold[i] = v
	fi;
	what = 0;
	v = 0
}

proctype memory(byte i)
{
	byte what, v;
end:
	do
	:: atomic { nempty(buf[i]) -> drain(i) }
	od
}

/* Somebody in core gives P x away, or sysmon has taken it. */
inline handoffp(x)
{
	owner[x] = IDLE; idle = idle | (1 << x)
}

inline getidle()
{
	if
	:: idle & 1 -> new = 0
	:: idle & 2 -> new = 1
	fi;
	idle = idle & ~(1 << new)
}

/* ---- an M ---------------------------------------------------------------- */

/* p and oldp are m->p and m->oldp as their only writer sees them. */

inline setpstate(v)
{
	atomic { buf[me]!PSTATE, v; newest = v }
}

inline load(s)
{
	if
	:: buf[me]??[PSTATE, _] -> s = newest	/* from the buffer */
	:: else -> s = pstate[me]
	fi
}

inline cas(from, to)
{
	atomic { empty(buf[me]) ->
		if
		:: pstate[me] == from -> pstate[me] = to; ok = 1
		:: else -> ok = 0
		fi }
}

inline sleep()
{
	atomic { empty(buf[me]) -> asleep[me] = 1 }
	asleep[me] = 0
}

inline use()
{
	s = 0;
	if
	:: p != NOP -> assert(owner[p] == me && !used[p]); used[p] = 1
	:: else
	fi
}

inline enduse()
{
	if
	:: p != NOP -> assert(owner[p] == me && used[p]); used[p] = 0
	:: else
	fi
}

inline acquirep(new)
{
	atomic {
		assert(p == NOP && oldp == NOP);	/* else that one is lost */
		assert(owner[new] == IDLE);
		owner[new] = me;
		p = new;
		new = NOP;
		buf[me]!P, p
	}
	setpstate(HELD)
}

/* The M has noticed TAKEN. */
inline losep()
{
	atomic {
		assert(p == NOP || owner[p] != me);
		assert(oldp == NOP || owner[oldp] != me);
		p = NOP;
		buf[me]!P, NOP
	}
	setpstate(NONE)
}

/* acquirem; with a P, the M uses it until it leaves. */
inline enter()
{
	buf[me]!LOCKS, 1;
#ifdef FENCE
	empty(buf[me]);
#endif
	atomic {
		load(s);
		if
		:: s == HELD -> use(); goto core
		:: else
		fi
	}
	slow()
}

inline leave()
{
	atomic { nfull(buf[me]) -> enduse(); buf[me]!LOCKS, 0 }
}

#ifdef BAD8
#define incall 0
#else
#define incall (oldp != NOP)
#endif

inline slow()
{
	trying[me] = 1;
	do
	:: atomic { !incall -> load(s) }
		if
		:: s == RETAKING ->
			cas(RETAKING, HELD);
			if
			:: ok -> break
#ifdef BAD6
			:: !ok -> losep(); break
#else
			:: !ok	/* sysmon has taken it, or has given up */
#endif
			fi
		:: s == TAKEN -> losep()
		:: s == NONE ->
			if
			:: skip
			:: atomic { empty(buf[me]) && idle -> getidle() }
				acquirep(new)
			fi;
			break
		:: s == HELD || s == SYSCALL -> break
		fi
	:: incall -> break
	od;
	atomic { ok = 0; trying[me] = 0; use() }
}

/* The end of a declared call, locks raised: the P back if it is still there. */
inline reclaim()
{
	trying[me] = 1;
#ifdef BAD7
	atomic { new = oldp; oldp = NOP; buf[me]!OLDP, NOP }
	cas(SYSCALL, HELD);
	if
	:: !ok -> cas(RETAKING, HELD)
	:: ok
	fi;
	if
	:: !ok -> atomic { load(s); ok = (s == HELD) }
	:: ok
	fi;
	if
	:: ok -> atomic {
		assert(owner[new] == me);
		p = new; new = NOP;
		buf[me]!P, p }
	:: !ok -> atomic {
		assert(owner[new] != me);	/* else it is lost */
		new = NOP }
		losep()
	fi;
#else
	do
	:: atomic { load(s) }
		if
		:: s == SYSCALL -> cas(SYSCALL, HELD)
		:: s == RETAKING -> cas(RETAKING, HELD)
#ifdef BAD8
		:: s == HELD -> ok = 1
#endif
		:: s == TAKEN || s == NONE ->
			losep();
			oldp = NOP;
			break
		fi;
		if
		:: atomic { ok ->
			assert(p == NOP && owner[oldp] == me);
			p = oldp; oldp = NOP;
			buf[me]!P, p }
			break
		:: !ok
		fi
	od;
	buf[me]!OLDP, NOP;
#endif
	atomic { ok = 0; s = 0; trying[me] = 0 }
}

/* releasep; then a P from whoever has one to give. */
inline stop()
{
	if
	:: atomic { p != NOP && nfull(buf[me]) ->
		enduse();
		new = p; p = NOP;
		buf[me]!P, NOP }
		setpstate(NONE);
		atomic { empty(buf[me]) ->	/* under sched.lock */
			assert(owner[new] == me);
			handoffp(new);
			new = NOP }
	:: p == NOP
	fi;
	atomic { empty(buf[me]) && idle -> getidle() }
	acquirep(new);
	atomic { use() }
}

proctype M(byte me; byte p)
{
	byte oldp = NOP, new = NOP, s, newest;
	bit ok;

user:
	if
	:: sleep(); goto user
	:: enter()
#ifdef BAD12
	:: atomic { p != NOP -> oldp = p; p = NOP; goto call }
#endif
	fi;
core:
	if
	:: leave(); if :: oldp == NOP -> goto user :: else -> goto ret fi
	:: p != NOP -> sleep(); goto core
	:: oldp == NOP -> stop(); goto core
	:: oldp != NOP ->
		/* it parks within a declared call: that ends here */
#ifdef BAD9
		stop();
#else
		reclaim();
		atomic { use() }
#endif
		goto core
	:: atomic { p != NOP && nfull(buf[me]) ->
		/* entersyscall */
		enduse();
		oldp = p; p = NOP }
#ifdef BAD12
call:
#endif
		buf[me]!OLDP, oldp;
		buf[me]!P, NOP;
		setpstate(SYSCALL);
		buf[me]!LOCKS, 0
	fi;
	/* the call */
	if
	:: skip
	:: sleep()
	:: enter(); goto core
	fi;
ret:
	/* exitsyscall */
	buf[me]!LOCKS, 1;
	if
	:: oldp != NOP -> reclaim()
	:: else
	fi;
	slow();
	goto core
}

/* An M that never leaves core and uses any P that it can get. */
proctype other()
{
	byte new = NOP;

end:
	do
	:: atomic { idle ->
		getidle();
		assert(owner[new] == IDLE && !used[new]);
		owner[new] = OTHER; used[new] = 1 }
		atomic {
			assert(owner[new] == OTHER && used[new]);
			used[new] = 0;
			handoffp(new);
			new = NOP
		}
	od
}

/* ---- sysmon -------------------------------------------------------------- */

inline moncas(from, to)
{
	if
	:: pstate[i] == from -> pstate[i] = to; ok = 1
	:: else -> ok = 0
	fi
}

proctype sysmon()
{
	byte i, was, old = NOP, what, v;
	bit ok, off;	/* off: what M i loads from now on is new */

again:
	/* a hint: all of it can be different at the CAS */
	atomic {
		old = NOP; ok = 0; off = 0;
		if
		:: !locks[0] -> i = 0
#if NM > 1
		:: !locks[1] -> i = 1
#endif
		fi;
		if
		:: was = HELD
		:: was = SYSCALL
		fi
	}
#ifdef BAD4
	off = asleep[i];
#endif
#ifdef BAD10
	if
	:: was == SYSCALL ->
		atomic {
			moncas(SYSCALL, TAKEN);
			if
			:: !ok -> goto again
			:: ok && owner[0] == i -> owner[0] = OTHER
			:: ok && owner[1] == i -> owner[1] = OTHER
			fi
		}
		old = mold[i];
		assert(old != NOP && owner[old] == OTHER);
		atomic { handoffp(old); goto again }
	:: else
	fi;
#endif
	atomic {
		moncas(was, RETAKING);
		if
		:: !ok -> goto again
		:: else
		fi
	}
	old = (was == SYSCALL -> mold[i] : mp[i]);
#ifdef BAD3
	if
	:: locks[i] -> goto giveup
	:: else
	fi;
#endif
	if
	:: was == SYSCALL -> off = 1
#ifdef BAD5
	:: was == HELD -> off = 1
#else
#ifndef BAD4
	:: was == HELD -> off = asleep[i]
#else
	:: was == HELD
#endif
	:: atomic { was == HELD ->
		/* membarrier: a fence in M i, wherever it is */
		do
		:: nempty(buf[i]) -> drain(i)
		:: empty(buf[i]) -> break
		od;
		off = 1 }
#endif
	fi;
	if
	:: old == NOP || !off -> goto giveup
	:: else
	fi;
#if !defined(BAD2) && !defined(BAD3)
	if
	:: locks[i] -> goto giveup
	:: else
	fi;
#endif
	atomic {
#ifdef BAD
		pstate[i] = TAKEN; ok = 1;
#else
		moncas(RETAKING, TAKEN);
#endif
		if
		:: !ok -> goto giveup
		:: else
		fi;
		assert(owner[old] == i && !used[old]);
		handoffp(old)
	}
	goto again;
giveup:
	atomic { moncas(RETAKING, was) }
	goto again
}

init {
	atomic {
		byte i;
		for (i : 0 .. NM - 1) {
			mold[i] = NOP; mp[i] = (i < NP -> i : NOP);
			pstate[i] = (i < NP -> HELD : NONE);
			run memory(i);
			run M(i, mp[i])
		}
		for (i : 0 .. NP - 1) {
			if
			:: i < NM -> owner[i] = i
			:: else -> handoffp(i)
			fi
		}
		i = 0;
		run other();
#ifdef BAD11
		run sysmon();
#endif
		run sysmon()
	}
}

ltl live {
	[] ((trying[0] -> <> !trying[0]) &&
	    (pstate[0] == RETAKING -> <> (pstate[0] != RETAKING)))
}
