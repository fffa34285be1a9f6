/* dance.pml - the "Delicate dance": an M goes idle while a G becomes runnable.
 *
 * Models: goready, wakep, startm, resetspinning, findrunnable, goidle, recheck
 *	and stopm of core/proc.c, schedtemplate of core/sched.c.
 * See:	"Delicate dance" in core/proc.c.
 *
 * Three Ms, three Ps, two pieces of work. M 0 submits both, from its P or, as a
 * thread without one, to the global queue; or it submits the first, which submits
 * the second. Who submits or works goes on until both pieces are in hand, as a G
 * that computes would: so a piece left beside an idle P is found, not only one
 * left with every M asleep. The other Ms start with a P each, looking for work.
 *
 * What is put on a ring passes a store buffer: the look at npidle and nmspinning
 * can come before others see the G. Locked operations wait until it is empty.
 *
 * Checked: 1. both pieces are taken: no run ends, or stops, with work left;
 *	2. a P that goes idle is nobody else's and has nothing on its ring.
 *
 * Two ways are right. By default every M that has given its P up looks at the
 * queues again, spinning or not, and wakep may be skipped while no P is idle,
 * which is cheap when all are busy. With -DGO only an M that was spinning looks
 * again, as in Go; then wakep may not be skipped, for finding no idle P it raises
 * needspinning, without which an M that is about to drop its P does not know that
 * it is needed.
 *
 * Must fail: BAD   nobody looks again
 *	BAD2  no full fence between queueing the G and the look at npidle
 *	BAD3  wakep lowers nmspinning after it has dropped sched.lock: meanwhile a
 *	      submitter counts on it, and the last M that spun has looked already
 *	BAD4  only an M that was spinning looks again, and wakep is skipped while
 *	      no P is idle
 */
#define NM 3
#define NP 3
#define WORK 2
#define NONE 7		/* no P, no M */
#define ALL 7		/* a bit an M */

#if defined(GO) || defined(BAD4)
#define ONLYSPINNING
#define RECHECK spinning[me]
#else
#define RECHECK true
#endif
#ifdef GO
#define MAYWAKE true
#else
#define MAYWAKE (npidle > 0)
#endif

byte ring[NP];		/* work on a P's queue */
byte stored[NP];	/* the same, still in its M's store buffer */
byte global;
bit locked;		/* sched.lock */
byte pidle, npidle;	/* idle Ps: a bit each, and how many */
byte midle;		/* Ms asleep in stopm: a bit each */
byte nmspinning;
bit needspinning;
bit spinning[NM];
byte nextp[NM];
byte wantm = NONE;	/* a P that waits for an M of the template thread, */
bit wantspinning;	/*   which shall spin */
byte taken;		/* pieces of work in hand */
bit chain;		/* the first piece submits the second */
bit foreign;		/* M 0 has no P */

#define flushed (p == NONE || stored[p] == 0)
#define done (taken == WORK)

/* Any member of a set, which is not empty. */
inline pick(set, x)
{
	if
	:: set & 1 -> x = 0
	:: set & 2 -> x = 1
	:: set & 4 -> x = 2
	fi;
	set = set & ~(1 << x)
}

inline lock()
{
	atomic { !locked && flushed -> locked = 1 }
}

/* pidleget. Holds sched.lock. */
inline pidleget(x)
{
	if
	:: pidle -> pick(pidle, x); npidle--
	:: else -> x = NONE
	fi
}

/* An M that is idle gets P q and spins; if there is none the template makes one. */
inline startm()
{
	lock();
	atomic {
		if
		:: midle -> pick(midle, w); spinning[w] = 1; nextp[w] = q
		:: else ->
			assert(wantm == NONE);
			wantm = q;
			wantspinning = 1
		fi;
		q = NONE; w = 0; locked = 0
	}
}

inline wakep()
{
	if
	:: nmspinning > 0
	:: nmspinning == 0 ->
		/* the CAS */
		if
		:: atomic { flushed && nmspinning == 0 -> nmspinning = 1 }
			lock();
			atomic {
				pidleget(q);
				if
				:: q == NONE ->
					needspinning = 1;
#ifndef BAD3
					nmspinning--
#endif
				:: else
				fi;
				locked = 0
			}
			if
#ifdef BAD3
			:: q == NONE -> nmspinning--
#else
			:: q == NONE
#endif
			:: q != NONE -> startm()
			fi
		:: atomic { flushed && nmspinning > 0 }
		fi
	fi
}

inline goready()
{
	if
	:: p != NONE ->
		stored[p]++;
#ifndef BAD2
		flushed;	/* full fence */
#endif
		if
		:: MAYWAKE -> wakep()
		:: !MAYWAKE
		fi
	:: lock(); global++; locked = 0;
		if
		:: p == NONE || MAYWAKE -> wakep()
		:: p != NONE && !MAYWAKE
		fi
	fi
}

inline becomespinning()
{
	spinning[me] = 1;
	nmspinning++;
	needspinning = 0
}

inline takeglobal()
{
	lock();
	if
	:: global > 0 -> global--; locked = 0; goto found
	:: else -> locked = 0
	fi
}

proctype memory()
{
end:
	do
	:: d_step { stored[0] > 0 -> stored[0]--; ring[0]++ }
	:: d_step { stored[1] > 0 -> stored[1]--; ring[1]++ }
	:: d_step { stored[2] > 0 -> stored[2]--; ring[2]++ }
	od
}

/* A new M is an M that came to be idle. */
proctype template()
{
	byte w;

	do
	:: atomic { wantm != NONE && !locked && midle ->
		pick(midle, w);
		spinning[w] = wantspinning;
		nextp[w] = wantm;
		wantm = NONE; wantspinning = 0; w = 0 }
	:: done -> break
	od
}

proctype M(byte me; byte p)
{
	byte q = NONE, w, i;

	if
	:: me == 0 ->
		goready();
		if
		:: !chain -> goready()
		:: else
		fi;
		done;
		goto out
	:: else
	fi;

top:	/* findrunnable */
	if
	:: atomic { ring[p] > 0 -> ring[p]-- }
		goto found
	:: !ring[p]
	fi;
	if
	:: global > 0 -> takeglobal()
	:: global == 0
	fi;
	if
	:: spinning[me] || 2 * nmspinning < NP - npidle ->
		if
		:: !spinning[me] -> becomespinning()
		:: else
		fi;
		/* stealwork; what the scan has missed is for recheck to find */
		do
		:: i < NP ->
			if
			:: atomic { ring[i] > 0 -> ring[i]--; i = 0 }
				goto found
			:: ring[i] == 0 -> i++
			fi
		:: i == NP -> i = 0; break
		od
	:: !(spinning[me] || 2 * nmspinning < NP - npidle)
	fi;

	/* goidle */
	lock();
	if
	:: global > 0 -> global--; locked = 0; goto found
	:: else
	fi;
#ifdef ONLYSPINNING
	if
	:: !spinning[me] && needspinning ->
		becomespinning();
		locked = 0;
		goto top
	:: else
	fi;
#endif
	d_step {
		assert(!(pidle & (1 << p)) && !ring[p] && !stored[p]);
		pidle = pidle | (1 << p);
		npidle++;
		p = NONE
	}
	locked = 0;
	i = RECHECK;
	if
	:: spinning[me] -> spinning[me] = 0; nmspinning--
	:: else
	fi;
	if
#ifdef BAD
	:: i = 0
#else
	:: i ->
		i = 0;
		/* recheck */
		if
		:: global > 0 -> goto work
		:: global == 0
		fi;
		do
		:: i < NP && ring[i] > 0 -> i = 0; goto work
		:: i < NP && ring[i] == 0 -> i++
		:: i == NP -> i = 0; goto sleep
		od;
work:		lock();
		atomic {
			pidleget(p);
			if
			:: p == NONE -> needspinning = 1
			:: else
			fi;
			locked = 0
		}
		if
		:: p != NONE -> becomespinning(); goto top
		:: else
		fi
	:: !i
#endif
	fi;

sleep:	/* stopm */
	lock();
	midle = midle | (1 << me);
	locked = 0;
	if
	:: atomic { nextp[me] != NONE -> p = nextp[me]; nextp[me] = NONE }
		goto top
	:: done -> goto out
	fi;

found:
	if
	:: spinning[me] ->
		/* resetspinning */
		spinning[me] = 0;
		nmspinning--;
		if
		:: MAYWAKE -> wakep()
		:: !MAYWAKE
		fi
	:: else
	fi;
	d_step { taken++; i = (chain && taken == 1) }
	if
	:: i -> i = 0; goready()
	:: !i
	fi;
	done;
out:	assert(nmspinning <= NM)
}

init {
	atomic {
		byte i;

		for (i : 0 .. NM - 1) {
			nextp[i] = NONE
		}
		i = 0;
		if
		:: foreign = 1; pidle = 1; npidle = 1
		:: foreign = 0
		fi;
		run memory();
		run template();
		if
		:: chain = 1
		:: chain = 0
		fi;
		run M(0, (foreign -> NONE : 0));
		run M(1, 1);
		run M(2, 2)
	}
}
