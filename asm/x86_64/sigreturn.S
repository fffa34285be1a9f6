/* sigreturn.S - the ways back out of a signal frame that was moved (core/signal.c,
 * core/preempt.c), and the call under another thread pointer.
 *
 * Both entries begin with the stack pointer at the ucontext of the moved frame and
 * end in rt_sigreturn(2) on it. The CFI says, as libc's own restorer does, that all
 * registers of the caller are in that ucontext: so backtraces, exceptions and forced
 * unwinds walk through. The unwinder looks one byte before a return address, hence
 * the nop.
 */
#include "asm/asm.h"

#define SYS_rt_sigreturn 15
#define SYS_arch_prctl 158
#define ARCH_SET_FS 0x1002

/* Offsets in struct ucontext (asm/ucontext.h): gregs begin at 40. */
#define UC_R8 40
#define UC_R9 48
#define UC_R10 56
#define UC_R11 64
#define UC_R12 72
#define UC_R13 80
#define UC_R14 88
#define UC_R15 96
#define UC_RDI 104
#define UC_RSI 112
#define UC_RBP 120
#define UC_RBX 128
#define UC_RDX 136
#define UC_RAX 144
#define UC_RCX 152
#define UC_RSP 160
#define UC_RIP 168

/* Register reg is saved at rsp + off, two bytes of sleb128 (DW_CFA_expression,
 * DW_OP_breg7). */
#define SAVED(reg, off)                                                        \
	.cfi_escape 0x10, reg, 3, 0x77, ((off) & 0x7f) | 0x80, ((off) >> 7)

	.text
	.p2align 4
	.globl	sigreturn_
	.hidden	sigreturn_
	.type	sigreturn_, @function
	.globl	asyncpreempt
	.hidden	asyncpreempt
	.type	asyncpreempt, @function
	.cfi_startproc
	.cfi_signal_frame
	/* DW_CFA_def_cfa_expression: *(rsp + UC_RSP) */
	.cfi_escape 0x0f, 4, 0x77, (UC_RSP & 0x7f) | 0x80, UC_RSP >> 7, 0x06
	SAVED(8, UC_R8)
	SAVED(9, UC_R9)
	SAVED(10, UC_R10)
	SAVED(11, UC_R11)
	SAVED(12, UC_R12)
	SAVED(13, UC_R13)
	SAVED(14, UC_R14)
	SAVED(15, UC_R15)
	SAVED(5, UC_RDI)
	SAVED(4, UC_RSI)
	SAVED(6, UC_RBP)
	SAVED(3, UC_RBX)
	SAVED(1, UC_RDX)
	SAVED(0, UC_RAX)
	SAVED(2, UC_RCX)
	SAVED(7, UC_RSP)
	SAVED(16, UC_RIP)
	nop
/* Where a handler of the program returns to. */
sigreturn_:
	movq	%rsp, %rdi
	call	*asm_sigleave(%rip)
	movq	$SYS_rt_sigreturn, %rax
	syscall
	nop
/* Where a preempted G goes on, on its side stack. */
asyncpreempt:
	movq	%rsp, %rdi
	call	*asm_gopreempt(%rip)
	movq	$SYS_rt_sigreturn, %rax
	syscall
	ud2
	.cfi_endproc
	.size	sigreturn_, .-sigreturn_

/* Where the entry of a signal returns to, on the M's alternate stack. */
	.globl	sigrestorer_
	.hidden	sigrestorer_
	.type	sigrestorer_, @function
	nop
sigrestorer_:
	movq	$SYS_rt_sigreturn, %rax
	syscall
	ud2
	.size	sigrestorer_, .-sigrestorer_

/* void withtp(uintptr_t tp rdi, void (*fn)() rsi, long a rdx, b rcx, c r8): call
 * fn(a, b, c) with thread pointer tp, which is not the caller's. Signals are blocked. */
	.globl	withtp
	.hidden	withtp
	.type	withtp, @function
	.p2align 4
withtp:
	.cfi_startproc
	pushq	%rbx
	.cfi_adjust_cfa_offset 8
	.cfi_rel_offset %rbx, 0
	movq	%fs:0, %rbx
	movq	%rsi, %rax
	movq	%rdx, %rsi
	movq	%rcx, %r9
	movq	%r8, %rdx
	cmpl	$0, asm_fsgsbase(%rip)
	je	1f
	wrfsbase %rdi
	movq	%rsi, %rdi
	movq	%r9, %rsi
	call	*%rax
	wrfsbase %rbx
	popq	%rbx
	.cfi_adjust_cfa_offset -8
	.cfi_remember_state
	ret
	.cfi_restore_state
1:	pushq	%rax
	pushq	%rsi
	pushq	%r9
	pushq	%rdx
	.cfi_adjust_cfa_offset 32
	movq	%rdi, %rsi
	movl	$ARCH_SET_FS, %edi
	movl	$SYS_arch_prctl, %eax
	syscall
	popq	%rdx
	popq	%rsi
	popq	%rdi
	popq	%rax
	.cfi_adjust_cfa_offset -32
	call	*%rax
	movq	%rbx, %rsi
	movl	$ARCH_SET_FS, %edi
	movl	$SYS_arch_prctl, %eax
	syscall
	popq	%rbx
	.cfi_adjust_cfa_offset -8
	ret
	.cfi_endproc
	.size	withtp, .-withtp

	.bss
	.globl	asm_sigleave
	.hidden	asm_sigleave
	.globl	asm_gopreempt
	.hidden	asm_gopreempt
	.p2align 3
	.type	asm_sigleave, @object
	.size	asm_sigleave, 8
asm_sigleave:
	.zero	8
	.type	asm_gopreempt, @object
	.size	asm_gopreempt, 8
asm_gopreempt:
	.zero	8

	.section .note.GNU-stack,"",@progbits
