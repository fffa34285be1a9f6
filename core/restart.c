/* restart.c - making a system call again that a poke has interrupted.
 *
 * Why: the kernel restarts most calls itself, after SA_RESTART; not a sleep, a poll, a
 *      wait with a timeout. It asks for EINTR there although no handler of the program's
 *      has run, and it has forgotten the call's number: the result is where that was.
 * How: all registers but rax, rcx and r11 are as they were at the call, so the number is
 *      all that is needed. The code before the call shows where it came from: another
 *      register, or a constant. Only instructions that load registers, or compute in
 *      them, are understood, which is what stands there, by hand in libc or inlined by a
 *      compiler. Where anything else does, the program sees the EINTR.
 */
#include "core/runtime.h"
#include <asm/sigcontext.h>
#include <linux/signal.h>
#include <asm/ucontext.h> /* needs both */
#include <errno.h>

#define WINDOW 48 /* bytes before the call: six arguments, loaded with care */
#define MAXLEN 16 /* of an instruction */
#define NRMAX 1024 /* of x86-64; what is above is no number of a call */

enum { RAX, RCX, RDX, RBX, RSP, RBP, RSI, RDI, R11 = 11, NREG = 16 };
enum { CONSTANT = NREG, UNKNOWN };

/* One instruction: register `to` gets that of `from`, or `constant`, or who knows. */
struct load {
	int len, to, from;
	uint32_t constant;
};

static uint32_t imm32(const uint8_t *p)
{
	return p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 |
	       (uint32_t)p[3] << 24;
}

/* Bytes of a ModRM operand in memory with all that belongs to it. */
static int memoperand(const uint8_t *p)
{
	int mod = p[0] >> 6, rm = p[0] & 7, len = 1;

	if (rm == RSP) /* a SIB byte */
		len += mod == 0 && (p[1] & 7) == RBP ? 5 : 1;
	else if (mod == 0 && rm == RBP) /* relative to rip */
		len += 4;
	return len + (mod == 1 ? 1 : mod == 2 ? 4 : 0);
}

/* The instruction at p, of which MAXLEN bytes can be read. False: not one of these. */
static bool decode(const uint8_t *p, struct load *l)
{
	const uint8_t *start = p;
	int rex = (*p & 0xf0) == 0x40 ? *p++ : 0;
	int op = *p++, reg = (*p >> 3 & 7) | (rex & 4) << 1;
	int rm = (*p & 7) | (rex & 1) << 3, wide = rex & 8;
	bool direct = *p >= 0xc0;

	*l = (struct load){ .from = UNKNOWN };
	switch (op) {
	case 0x31: /* xor */
	case 0x33:
		if (!direct)
			return false;
		l->to = op == 0x31 ? rm : reg;
		if (reg == rm)
			l->from = CONSTANT;
		p++;
		break;
	case 0x01: /* add */
	case 0x09: /* or */
	case 0x21: /* and */
	case 0x29: /* sub */
	case 0xd1: /* a shift by one */
		if (!direct)
			return false;
		l->to = rm;
		p++;
		break;
	case 0xf7: /* not, neg */
		if (!direct || (reg & 7) < 2 || (reg & 7) > 3)
			return false;
		l->to = rm;
		p++;
		break;
	case 0x83: /* add and kin, */
	case 0xc1: /* and shifts: by imm8 */
		if (!direct)
			return false;
		l->to = rm;
		p += 2;
		break;
	case 0x89: /* mov reg, r/m */
		if (!direct)
			return false;
		l->to = rm;
		l->from = reg;
		p++;
		break;
	case 0x8b: /* mov r/m, reg */
	case 0x63: /* movslq */
	case 0x8d: /* lea */
		l->to = reg;
		if (direct && op == 0x8d)
			return false;
		if (direct && op == 0x8b)
			l->from = rm;
		p += direct ? 1 : memoperand(p);
		break;
	case 0xc7: /* mov $imm32, r/m */
		if (!direct || (*p & 0x38))
			return false;
		l->to = rm;
		l->from = CONSTANT;
		l->constant = imm32(p + 1);
		p += 5;
		break;
	default:
		if (op < 0xb8 || op > 0xbf) /* mov $imm, reg */
			return false;
		l->to = (op & 7) | (rex & 1) << 3;
		l->from = CONSTANT;
		l->constant = imm32(p);
		p += wide ? 8 : 4;
	}
	l->len = (int)(p - start);
	return true;
}

/* Bit mask of the registers that the code from p to `end` loads; 0: it is not just
 * loads. */
static uint32_t loads(const uint8_t *p, const uint8_t *end)
{
	uint32_t regs = 0;
	struct load l;

	while (p < end) {
		if (!decode(p, &l))
			return 0;
		regs |= 1u << l.to;
		p += l.len;
	}
	return p == end ? regs | 1u << NREG : 0;
}

static uint64_t reg(const struct sigcontext *sc, int n)
{
	const uint64_t of[NREG] = { sc->rax, sc->rcx, sc->rdx, sc->rbx,
				    sc->rsp, sc->rbp, sc->rsi, sc->rdi,
				    sc->r8,  sc->r9,  sc->r10, sc->r11,
				    sc->r12, sc->r13, sc->r14, sc->r15 };

	return of[n];
}

/* The number of the call before which `n` bytes of code are from `code` on; or -1. */
static int64_t numberof(const struct sigcontext *sc, const uint8_t *code, long n)
{
	const uint32_t lost = 1u << RAX | 1u << RCX | 1u << R11;
	const uint8_t *call = code + n;

	for (const uint8_t *p = call - 2; p > code; p--) {
		struct load l;
		uint32_t after;
		uint64_t nr;

		/* the second half of one with a prefix, for another register? */
		if ((p[0] & 0xf0) != 0x40 && (p[-1] & 0xf0) == 0x40)
			continue;
		if (!decode(p, &l) || l.to != RAX || l.from == UNKNOWN)
			continue;
		after = loads(p + l.len, call);
		if (!after || (after & 1u << RAX))
			continue;
		if (l.from != CONSTANT && ((lost | after) & 1u << l.from))
			return -1;
		nr = l.from == CONSTANT ? l.constant :
					  (uint32_t)reg(sc, l.from);
		return nr < NRMAX ? (int64_t)nr : -1;
	}
	return -1;
}

/* The interrupted code is about to see EINTR from a system call though no handler
 * has run: let it make the call again, if it shows what its number was. Or it is about to
 * make it again by itself, the kernel found nothing to do for it before this signal came:
 * by restart_syscall, of which the kernel knows no more after a handler, nor on another M. */
bool sigrestartcall(struct ucontext *uc)
{
	struct sigcontext *sc = &uc->uc_mcontext;
	bool again = sc->rax == __NR_restart_syscall;
	const uint8_t *call = (const uint8_t *)sc->rip - (again ? 0 : 2);
	long n = (long)((uintptr_t)call & (PAGE - 1)); /* that can be read */
	uint8_t code[WINDOW + MAXLEN];
	int64_t nr;

	if ((!again && (long)sc->rax != -EINTR) || n == PAGE - 1 ||
	    !(call[0] == 0x0f && call[1] == 0x05))
		return false;
	if (n > WINDOW)
		n = WINDOW;
	__builtin_memcpy(code, call - n, (size_t)n);
	__builtin_memset(code + n, 0, MAXLEN);
	nr = numberof(sc, code, n);
	if (nr < 0)
		return false;
	sc->rax = (uint64_t)nr;
	sc->rip = (uintptr_t)call;
	return true;
}
