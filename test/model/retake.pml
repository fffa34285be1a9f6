/* retake.pml - who may use an M's P: m->pstate, and taking the P of an M that sleeps.
 *
 * Models: acquirem, acquirem_slow, releasem ("coreenter", "coreexit"), acquirep and
 *	releasep of core/proc.c and runtime.h, entersyscall and exitsyscall of
 *	core/syscall.c, retake of core/sysmon.c with handoffp.
 * See:	"THE M'S P" in core/runtime.h.
 *
 * NM Ms that for ever run user code, sleep in calls that nobody declared, enter core
 * and leave it, sleep there too (a page fault, a contended lock), give their P up and
 * get one again, and make declared calls, in which they can enter core once more (a
 * handler, a callback, a library's own mutex) and even park. Every M can wake at any
 * instant. sysmon retakes whatever it can. There is always an M that wants a P, so a
 * P that is taken is used by another at once: that is how a wrong owner shows.
 *
 * Memory is x86's: each M has a store buffer of SB entries, emptied in order at any
 * time; locked operations and going to sleep wait until it is empty. So acquirem's
 * load of pstate can come before its store of locks is seen, and the claim that it
 * needs no fence is put to the test: being asleep is what sysmon relies on.
 *
 * Checked: 1. nobody takes a P, or uses one in core, that another uses in core;
 *	2. at every hand-over the P's one owner is who gives it: no P is lost (its
 *	   owner has forgotten it) and none has two owners;
 *	3. nobody is stuck: no invalid end state; with -DLIVE: RETAKING is left, and
 *	   acquirem_slow and exitsyscall come to an end, under weak fairness.
 *
 * Must fail: BAD   sysmon stores TAKEN instead of CAS
 *	BAD2  sysmon does not look at locks
 *	BAD3  sysmon looks at locks before /proc instead of after
 *	BAD4  sysmon looks at /proc before it has set RETAKING
 *	BAD5  sysmon does not look at /proc: the store buffer hides locks
 *	BAD6  acquirem_slow takes a lost CAS from RETAKING for TAKEN; it may have
 *	      been sysmon that gave up
 *	BAD7  exitsyscall tries each CAS once: sysmon's giving up comes between
 *	BAD8  acquirem_slow within a declared call acts as outside of one
 *	BAD9  an M parks within a declared call and forgets oldp
 *	BAD10 sysmon goes from SYSCALL to TAKEN at once and reads oldp then
 *	BAD11 two threads retake at the same time
 *	BAD12 entersyscall does not enter core
 */
#ifndef NM
#define NM 2		/* Ms */
#endif
#ifndef NP
#define NP 2		/* Ps */
#endif
#ifndef SB
#define SB 2		/* stores that an M's buffer holds */
#endif

#define NOP 7		/* no P */
#define IDLE 8		/* owner: the idle list */
#define MON 9		/* owner: sysmon, or on its way to an M */

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
byte nextp[NM];
bit stopped[NM];	/* on the list of idle Ms */

/* for the assertions only */
byte owner[NP];
bit used[NP];		/* in core */
bit trying[NM];		/* in a loop of acquirem_slow or exitsyscall */

proctype memory(byte i)
{
	byte what, v;
end:
	do
	:: atomic { buf[i]?what, v ->
		if
		:: what == LOCKS -> locks[i] = v
		:: what == PSTATE -> pstate[i] = v
		:: what == P -> mp[i] = v
		:: what == OLDP -> mold[i] = v
		fi;
		what = 0; v = 0 }
	od
}

/* ---- an M ---------------------------------------------------------------- */

/* p and oldp are m->p and m->oldp as their only writer sees them. */

inline store(what, v)
{
	buf[me]!what, v
}

inline setpstate(v)
{
	atomic { buf[me]!PSTATE, v -> newest = v }
}

inline loadpstate(s)
{
	atomic {
		if
		:: buf[me]??[PSTATE, _] -> s = newest
		:: else -> s = pstate[me]
		fi
	}
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

inline acquirep(new)
{
	atomic {
		assert(p == NOP && oldp == NOP);	/* else that one is lost */
		assert(owner[new] == IDLE || owner[new] == MON);
		owner[new] = me;
		p = new; new = NOP
	}
	store(P, p);
	setpstate(HELD)
}

/* The M has noticed TAKEN. */
inline losep()
{
	d_step {
		assert(p == NOP || owner[p] != me);
		assert(oldp == NOP || owner[oldp] != me);
		p = NOP
	}
	store(P, NOP);
	setpstate(NONE)
}

inline getidle()
{
	if
	:: idle & 1 -> new = 0
	:: idle & 2 -> new = 1
	fi;
	idle = idle & ~(1 << new)
}

/* acquirem; with a P, the M uses it until it leaves. */
inline enter()
{
	store(LOCKS, 1);
	loadpstate(s);
	if
	:: s != HELD -> slow()
	:: else
	fi;
	begin()
}

inline begin()
{
	d_step {
		if
		:: p != NOP -> assert(owner[p] == me && !used[p]); used[p] = 1
		:: else
		fi;
		s = 0
	}
}

inline endcore()
{
	d_step {
		if
		:: p != NOP -> assert(owner[p] == me && used[p]); used[p] = 0
		:: else
		fi
	}
}

inline leave()
{
	endcore();
	store(LOCKS, 0)
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
	:: !incall ->
		loadpstate(s);
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
	atomic { ok = 0; s = 0; trying[me] = 0 }
}

/* The end of a declared call: the P back if it is still there. Locks is 1. */
inline reclaim()
{
	trying[me] = 1;
#ifdef BAD7
	d_step { new = oldp; oldp = NOP }
	store(OLDP, NOP);
	cas(SYSCALL, HELD);
	if
	:: !ok -> cas(RETAKING, HELD)
	:: ok
	fi;
	if
	:: !ok -> loadpstate(s); ok = (s == HELD)
	:: ok
	fi;
	if
	:: ok -> atomic { assert(owner[new] == me); p = new; new = NOP }
		store(P, p)
	:: !ok -> atomic {
		assert(owner[new] != me);	/* else it is lost */
		new = NOP }
		losep()
	fi;
#else
	do
	:: loadpstate(s);
		if
#ifdef BAD8
		:: s == HELD -> ok = 1
#endif
		:: s == SYSCALL -> cas(SYSCALL, HELD)
		:: s == RETAKING -> cas(RETAKING, HELD)
		:: s == TAKEN || s == NONE -> losep(); oldp = NOP; break
		fi;
		if
		:: ok -> atomic {
			assert(p == NOP && owner[oldp] == me);
			p = oldp; oldp = NOP }
			store(P, p);
			break
		:: else
		fi
	od;
	store(OLDP, NOP);
#endif
	atomic { ok = 0; s = 0; trying[me] = 0 }
}

/* releasep, and a P from somebody else or from the idle list. */
inline stop()
{
	if
	:: p != NOP ->
		endcore();
		d_step { new = p; p = NOP }
		store(P, NOP);
		setpstate(NONE);
		atomic { empty(buf[me]) ->	/* under sched.lock */
			assert(owner[new] == me);
			owner[new] = IDLE;
			idle = idle | (1 << new);
			new = NOP }
	:: else
	fi;
	if
	:: atomic { empty(buf[me]) && idle -> getidle() }
	:: atomic { empty(buf[me]) -> stopped[me] = 1; asleep[me] = 1 }
		atomic { nextp[me] != NOP -> new = nextp[me]; nextp[me] = NOP }
		asleep[me] = 0
	fi;
	acquirep(new);
	begin()
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
	:: atomic { p != NOP -> oldp = p; p = NOP } goto call
#endif
	fi;
core:
	if
	:: leave(); goto user
	:: p != NOP -> sleep(); goto core
	:: stop(); goto core
	:: p != NOP ->
		/* entersyscall */
		endcore();
		d_step { oldp = p; p = NOP }
#ifdef BAD12
call:
#endif
		store(OLDP, oldp);
		store(P, NOP);
		setpstate(SYSCALL);
		store(LOCKS, 0)
	fi;
	if
	:: skip
	:: sleep()
	:: enter();
		if
		:: leave()
		:: /* it parks: first the call's end */
#ifndef BAD9
			if
			:: oldp != NOP -> reclaim(); begin()
			:: else
			fi;
#endif
			goto core
		fi
	fi;
	/* exitsyscall */
	store(LOCKS, 1);
	if
	:: oldp != NOP -> reclaim()
	:: else
	fi;
	slow();
	begin();
	goto core
}

/* ---- sysmon -------------------------------------------------------------- */

inline moncas(from, to)
{
	atomic {
		if
		:: pstate[i] == from -> pstate[i] = to; ok = 1
		:: else -> ok = 0
		fi
	}
}

proctype sysmon()
{
	byte i, was, old = NOP;
	bit ok, off;

again:
	atomic { was = 0; old = NOP; ok = 0; off = 0 }
	if
	:: i = 0
	:: i = 1
#if NM > 2
	:: i = 2
#endif
	fi;
	atomic {
		was = pstate[i];
		if
		:: was != HELD && was != SYSCALL -> goto again
		:: else
		fi
	}
	if
	:: locks[i] -> goto again
	:: else
	fi;
#ifdef BAD4
	off = asleep[i];
#endif
#ifdef BAD10
	if
	:: was == SYSCALL ->
		moncas(SYSCALL, TAKEN);
		if
		:: ok -> old = mold[i]; assert(old != NOP);
			goto taken
		:: else -> goto again
		fi
	:: else
	fi;
#endif
	moncas(was, RETAKING);
	if
	:: !ok -> goto again
	:: else
	fi;
	old = (was == SYSCALL -> mold[i] : mp[i]);
#ifdef BAD5
	off = 1;
#endif
#ifdef BAD3
	if
	:: locks[i] -> goto giveup
	:: else
	fi;
#endif
#ifndef BAD4
	if
	:: was == SYSCALL -> off = 1
	:: else -> off = off | asleep[i]
	fi;
#else
	off = off | (was == SYSCALL);
#endif
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
taken:
		assert(owner[old] == i && !used[old]);
		owner[old] = MON
	}
	/* handoffp */
	atomic {
		if
		:: stopped[0] -> stopped[0] = 0; nextp[0] = old
		:: stopped[1] -> stopped[1] = 0; nextp[1] = old
#if NM > 2
		:: stopped[2] -> stopped[2] = 0; nextp[2] = old
#endif
		:: else -> owner[old] = IDLE; idle = idle | (1 << old)
		fi
	}
	goto again;
giveup:
	moncas(RETAKING, was);
	goto again
}

init {
	atomic {
		byte i;
		for (i : 0 .. NM - 1) {
			nextp[i] = NOP; mold[i] = NOP; mp[i] = (i < NP -> i : NOP);
			pstate[i] = (i < NP -> HELD : NONE);
			run memory(i);
			run M(i, mp[i])
		}
		for (i : 0 .. NP - 1) {
			owner[i] = i
		}
		i = 0;
#ifdef BAD11
		run sysmon();
#endif
		run sysmon()
	}
}

#ifdef LIVE
ltl live { [] ((trying[0] -> <> !trying[0]) &&
	(pstate[0] == RETAKING -> <> (pstate[0] != RETAKING))) }
#endif
