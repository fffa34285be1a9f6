/* gogo.S - the context switch for x86-64, System V ABI.
 *
 * A context that is switched out has this on its stack (8 bytes a line):
 *
 *      sp ->  MXCSR | x87 control word
 *             r15 r14 r13 r12 rbx rbp
 *             return address
 *
 * The caller-saved registers are dead by the ABI; the other FP state is too.
 * All three stacks that gswitch touches (the leaving one, g0's, the entered one)
 * have this layout at their stack pointer, so one CFI description holds
 * throughout and a backtrace taken anywhere in here is right.
 */
#include "asm/asm.h"

#define ARCH_SET_FS 0x1002
#define SYS_arch_prctl 158
#define SPINS 100
#define PKRU_INIT 0x55555554	/* the kernel's first: key 0 only */

	.text
	.globl	gswitch
	.hidden	gswitch
	.type	gswitch, @function
	.p2align 4
/* int gswitch(gobuf *from rdi, gobuf *to rsi, gobuf *g0 rdx, void *m rcx) */
gswitch:
	.cfi_startproc
	pushq	%rbp
	.cfi_adjust_cfa_offset 8
	.cfi_rel_offset %rbp, 0
	pushq	%rbx
	.cfi_adjust_cfa_offset 8
	.cfi_rel_offset %rbx, 0
	pushq	%r12
	.cfi_adjust_cfa_offset 8
	.cfi_rel_offset %r12, 0
	pushq	%r13
	.cfi_adjust_cfa_offset 8
	.cfi_rel_offset %r13, 0
	pushq	%r14
	.cfi_adjust_cfa_offset 8
	.cfi_rel_offset %r14, 0
	pushq	%r15
	.cfi_adjust_cfa_offset 8
	.cfi_rel_offset %r15, 0
	subq	$8, %rsp
	.cfi_adjust_cfa_offset 8
	stmxcsr	(%rsp)
	fnstcw	4(%rsp)
	movl	(%rsp), %r8d
	movzwl	4(%rsp), %r9d
	movq	GOBUF_FS(%rdi), %r10
	movq	%rsp, GOBUF_SP(%rdi)
	cmpl	$0, asm_pku(%rip)
	jne	7f
8:
	/* From the store to oncpu on, another M may run on the stack we leave:
	 * wait on g0's, which nobody uses, so that a signal frame does no harm. */
	movq	GOBUF_SP(%rdx), %rsp
	movl	$0, GOBUF_ONCPU(%rdi)		/* release: registers are saved */

	xorl	%eax, %eax
	movl	$SPINS, %r11d
1:	cmpl	$0, GOBUF_ONCPU(%rsi)		/* acquire: pairs with the above */
	je	2f
	pause
	decl	%r11d
	jnz	1b
	movq	%rdx, %rsi			/* still being left: run g0 */
	movl	$1, %eax
2:
	movq	%rcx, GOBUF_M(%rsi)		/* in this order: see goncpu */
	movl	$1, GOBUF_ONCPU(%rsi)
	cmpl	$0, asm_pku(%rip)
	jne	9f
10:	movq	GOBUF_SP(%rsi), %rsp
	movq	GOBUF_FS(%rsi), %rcx
	cmpq	%rcx, %r10
	je	4f
	cmpl	$0, asm_fsgsbase(%rip)
	je	3f
	wrfsbase %rcx
4:	cmpl	%r8d, (%rsp)			/* loads are dear, compare first */
	je	5f
	ldmxcsr	(%rsp)
5:	cmpw	%r9w, 4(%rsp)
	je	6f
	fldcw	4(%rsp)
6:	addq	$8, %rsp
	.cfi_remember_state
	.cfi_adjust_cfa_offset -8
	popq	%r15
	.cfi_adjust_cfa_offset -8
	popq	%r14
	.cfi_adjust_cfa_offset -8
	popq	%r13
	.cfi_adjust_cfa_offset -8
	popq	%r12
	.cfi_adjust_cfa_offset -8
	popq	%rbx
	.cfi_adjust_cfa_offset -8
	popq	%rbp
	.cfi_adjust_cfa_offset -8
	ret
	.cfi_restore_state
3:	/* no FSGSBASE: the system call keeps all but rax, rcx, r11 */
	movq	%rcx, %rsi
	movl	%eax, %ebx			/* rbx is reloaded from the stack */
	movl	$ARCH_SET_FS, %edi
	movl	$SYS_arch_prctl, %eax
	syscall
	movl	%ebx, %eax
	jmp	4b
7:	/* rdpkru and wrpkru want rcx and rdx; rbx and r12 are saved */
	movq	%rcx, %rbx
	movq	%rdx, %r12
	xorl	%ecx, %ecx
	rdpkru
	xorl	$PKRU_INIT, %eax
	movl	%eax, GOBUF_PKRU(%rdi)
	movq	%rbx, %rcx
	movq	%r12, %rdx
	jmp	8b
9:	movl	%eax, %ebx
	movl	GOBUF_PKRU(%rsi), %eax
	xorl	$PKRU_INIT, %eax
	xorl	%ecx, %ecx
	xorl	%edx, %edx
	wrpkru
	movl	%ebx, %eax
	jmp	10b
	.cfi_endproc
	.size	gswitch, .-gswitch

/* First frame of every context: rbx holds its function, eax what gswitch returns:
 * it is the argument, since a fresh g0 can be fallen back to, too. The undefined return
 * address tells backtrace(), the C++ unwinder and gdb that the stack ends. */
	.type	gostart, @function
	.p2align 4
gostart:
	.cfi_startproc
	.cfi_undefined %rip
	xorl	%ebp, %ebp
	movl	%eax, %edi
	call	*%rbx
	ud2
	.cfi_endproc
	.size	gostart, .-gostart

	.globl	gobufinit
	.hidden	gobufinit
	.type	gobufinit, @function
	.p2align 4
/* void gobufinit(gobuf *buf rdi, uintptr_t hi rsi, uintptr_t fs rdx, fn rcx) */
gobufinit:
	.cfi_startproc
	andq	$-16, %rsi
	leaq	gostart(%rip), %rax
	movq	$0, -8(%rsi)			/* where a return address would be */
	subq	$16, %rsi			/* so that gostart's call aligns */
	movq	%rax, -8(%rsi)
	movq	$0, -16(%rsi)			/* rbp */
	movq	%rcx, -24(%rsi)			/* rbx */
	movq	$0, -32(%rsi)
	movq	$0, -40(%rsi)
	movq	$0, -48(%rsi)
	movq	$0, -56(%rsi)
	movq	$0, -64(%rsi)
	stmxcsr	-64(%rsi)
	fnstcw	-60(%rsi)
	subq	$64, %rsi
	movq	%rsi, GOBUF_SP(%rdi)
	movq	%rdx, GOBUF_FS(%rdi)
	movq	$0, GOBUF_M(%rdi)
	movl	$0, GOBUF_ONCPU(%rdi)
	xorl	%eax, %eax
	cmpl	$0, asm_pku(%rip)
	je	1f
	xorl	%ecx, %ecx
	rdpkru
	xorl	$PKRU_INIT, %eax
1:	movl	%eax, GOBUF_PKRU(%rdi)
	ret
	.cfi_endproc
	.size	gobufinit, .-gobufinit

	.bss
	.globl	asm_fsgsbase
	.hidden	asm_fsgsbase
	.p2align 2
	.type	asm_fsgsbase, @object
	.size	asm_fsgsbase, 4
asm_fsgsbase:
	.zero	4
	.globl	asm_pku
	.hidden	asm_pku
	.type	asm_pku, @object
	.size	asm_pku, 4
asm_pku:
	.zero	4

	.section .note.GNU-stack,"",@progbits
