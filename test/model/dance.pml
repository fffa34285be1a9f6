/* scratch */
#define NM 3
#define NP 3
#define NW 2
#define NONE 7
#ifndef NS
#define NS 1
#endif

byte runq[NP];
byte pend[NP];
byte glob;
bit  lk;
byte pidle, npidle, midle;
byte nmspinning;
bit  needspinning;
byte nextp[NM];
bit  nextspin[NM];
byte wantm = NONE; bit wantspin;
byte started, submitted;
bit second, mode;

#define done (started == NW)
#define LOCK atomic { lk == 0 -> lk = 1 }
#define UNLOCK lk = 0

inline startm(pp, spinning)
{
	LOCK;
	d_step {
		if
		:: midle & 1 -> w = 0
		:: !(midle & 1) && (midle & 2) -> w = 1
		:: !(midle & 3) && (midle & 4) -> w = 2
		:: else -> w = NONE
		fi;
		if
		:: w == NONE -> assert(wantm == NONE); wantm = pp; wantspin = spinning
		:: else -> midle = midle & ~(1 << w); nextspin[w] = spinning; nextp[w] = pp
		fi;
		w = NONE; lk = 0
	}
}

inline pidleget()
{
	d_step {
		if
		:: pidle & 1 -> q = 0
		:: !(pidle & 1) && (pidle & 2) -> q = 1
		:: !(pidle & 3) && (pidle & 4) -> q = 2
		:: else -> q = NONE
		fi;
		if
		:: q != NONE -> pidle = pidle & ~(1 << q); npidle--
		:: else
		fi
	}
}

inline wakep()
{
	if
	:: nmspinning == 0 ->
		if
		:: atomic { nmspinning == 0 -> nmspinning = 1 }
			LOCK;
			atomic { pidleget();
			if
			:: q == NONE -> needspinning = NS;
#ifndef LATE
			   nmspinning--
#endif
			:: else
			fi;
			lk = 0; }
			if
#ifdef LATE
			:: q == NONE -> nmspinning--
#else
			:: q == NONE -> skip
#endif
			:: else -> startm(q, 1); q = NONE
			fi
		:: nmspinning != 0 -> skip
		fi
	:: nmspinning != 0 -> skip
	fi
}

#ifdef NOTEST
#define TEST 1
#else
#define TEST (npidle != 0)
#endif

inline goready()
{
	if
	:: pend[p]++;
#ifndef BAD2
	   pend[p] == 0
#endif
	:: LOCK; glob++; UNLOCK
	fi;
	if
	:: TEST -> wakep()
	:: !TEST -> skip
	fi
}

proctype drain()
{
end:
	do
	:: d_step { pend[0] > 0 -> pend[0]--; runq[0]++ }
	:: d_step { pend[1] > 0 -> pend[1]--; runq[1]++ }
	:: d_step { pend[2] > 0 -> pend[2]--; runq[2]++ }
	od
}

proctype template()
{
	do
	:: atomic { wantm != NONE && lk == 0 && midle != 0 ->
		if
		:: midle & 1 -> midle = midle & ~1; nextspin[0] = wantspin; nextp[0] = wantm
		:: midle & 2 -> midle = midle & ~2; nextspin[1] = wantspin; nextp[1] = wantm
		:: midle & 4 -> midle = midle & ~4; nextspin[2] = wantspin; nextp[2] = wantm
		fi;
		wantm = NONE }
	:: done -> break
	od
}

proctype M(byte me)
{
	byte p = me, w = NONE, q = NONE, i;
	bit spin, ws;

	if
	:: me == 0 ->
		submitted = 1; 
		goready();
		if
		:: !mode -> goready()
		:: else
		fi;
#ifdef WEAK
		goto top
#else
		done; goto fin
#endif
	:: else
	fi;

top:	pend[p] == 0;
	if
	:: atomic { runq[p] > 0 -> runq[p]-- } goto found
	:: runq[p] == 0
	fi;
	if
	:: glob != 0 -> LOCK; 
		if
		:: glob > 0 -> glob--; UNLOCK; goto found
		:: else -> UNLOCK
		fi
	:: glob == 0
	fi;
	if
	:: spin || 2 * nmspinning < NP - npidle ->
		if
		:: !spin -> spin = 1; nmspinning++; needspinning = 0
		:: else
		fi;
		i = 0;
		do
		:: i < NP ->
			if
			:: atomic { runq[i] > 0 -> runq[i]--; i = 0 } goto found
			:: runq[i] == 0 -> i++
			fi
		:: i == NP -> i = 0; break
		od
	:: !(spin || 2 * nmspinning < NP - npidle) -> skip
	fi;
	LOCK;
	if
	:: glob > 0 -> glob--; UNLOCK; goto found
	:: glob == 0
	fi;
	if
	:: !spin && needspinning -> spin = 1; nmspinning++; needspinning = 0; UNLOCK; goto top
	:: else
	fi;
	d_step { assert(!(pidle & (1 << p)) && runq[p] == 0); pidle = pidle | (1 << p); npidle++; p = NONE }
	UNLOCK;
	ws = spin;
	if
	:: spin -> spin = 0; nmspinning--
	:: else
	fi;
#ifdef ALWAYS
	ws = 1;
#endif
#ifndef BAD
	if
	:: ws -> ws = 0;
		if
		:: glob > 0 -> goto work
		:: glob == 0
		fi;
		i = 0;
		do
		:: i < NP ->
			if
			:: runq[i] > 0 -> i = 0; goto work
			:: runq[i] == 0 -> i++
			fi
		:: i == NP -> i = 0; break
		od;
		goto stop
work:		LOCK;
		atomic { pidleget(); p = q; q = NONE;
		if
		:: p == NONE -> needspinning = NS
		:: else
		fi;
		lk = 0 }
		if
		:: p == NONE -> goto stop
		:: else -> spin = 1; nmspinning++; needspinning = 0; goto top
		fi
	:: else
	fi;
#endif
stop:	LOCK; midle = midle | (1 << me); UNLOCK;
	if
	:: atomic { nextp[me] != NONE -> p = nextp[me]; spin = nextspin[me]; nextp[me] = NONE; nextspin[me] = 0 } goto top
	:: done -> goto fin
	fi;

found:
	if
	:: spin -> spin = 0; nmspinning--; 
		if
		:: TEST -> wakep()
		:: !TEST -> skip
		fi
	:: else
	fi;
	started++;
	if
	:: second && started == 1 -> second = 0; goready()
	:: else
	fi;
#ifdef WEAK
	goto top;
#else
	done;
#endif
fin:	skip
}

init {
	atomic {
		nextp[0] = NONE; nextp[1] = NONE; nextp[2] = NONE;
		if
		:: second = 1; mode = 1
		:: second = 0
		fi;
		run drain(); run template(); run M(0); run M(1); run M(2)
	}
}
