/* panic.c - output without malloc, and what happens when an invariant breaks. */
#include "core/runtime.h"
#include <stdarg.h>

static const char *const waitreasons[WAIT_NREASONS] = {
	[WAIT_NONE] = "none",	    [WAIT_SLEEP] = "sleep",
	[WAIT_MUTEX] = "mutex",	    [WAIT_COND] = "condition",
	[WAIT_RWLOCK] = "rwlock",   [WAIT_BARRIER] = "barrier",
	[WAIT_SEM] = "semaphore",   [WAIT_ONCE] = "once",
	[WAIT_JOIN] = "join",	    [WAIT_FUTEX] = "futex",
	[WAIT_SIGNAL] = "signal",
	[WAIT_IO] = "file",
};
static const char *const statuses[] = {
	[Gidle] = "idle",	[Grunnable] = "runnable",
	[Grunning] = "running", [Gwaiting] = "waiting",
	[Gdead] = "dead",
};

struct out {
	char buf[1024];
	size_t n;
};

/* A longer line is cut, but ends. */
static void put(struct out *o, char c)
{
	if (o->n < sizeof(o->buf))
		o->buf[o->n++] = c;
	else if (c == '\n')
		o->buf[o->n - 1] = c;
}

static void putnum(struct out *o, uint64_t v, unsigned base)
{
	char d[24];
	int n = 0;

	do
		d[n++] = "0123456789abcdef"[v % base];
	while (v /= base);
	while (n)
		put(o, d[--n]);
}

static void format(struct out *o, const char *f, va_list ap)
{
	for (; *f; f++) {
		bool l = false;

		if (*f != '%') {
			put(o, *f);
			continue;
		}
		while (*++f == 'l')
			l = true;
		if (*f == 's') {
			for (const char *s = va_arg(ap, const char *); *s; s++)
				put(o, *s);
		} else if (*f == 'd') {
			int64_t v = l ? va_arg(ap, long) : va_arg(ap, int);

			if (v < 0)
				put(o, '-');
			putnum(o, v < 0 ? -(uint64_t)v : (uint64_t)v, 10);
		} else if (*f == 'u' || *f == 'x') {
			uint64_t v = l ? va_arg(ap, unsigned long) :
					 va_arg(ap, unsigned);

			putnum(o, v, *f == 'u' ? 10 : 16);
		} else {
			put(o, *f);
		}
	}
}

static void tostderr(const struct out *o)
{
	int fd = sysmongetfd(2);

	oswrite(fd, o->buf, o->n);
	sysmonputfd(fd);
}

void print(const char *fmt, ...)
{
	struct out o = { .n = 0 };
	va_list ap;

	va_start(ap, fmt);
	format(&o, fmt, ap);
	va_end(ap);
	tostderr(&o);
}

/* What every G does: the first few hundred that live. Racy by nature. */
static void dump(void)
{
	uint32_t shown = 0;

	if (!schedstarted)
		return;
	schedtraceline(nanotime());
	for (uint32_t id = 1; id <= sched.idgen + 1 && shown < 200; id++) {
		struct g *gp = gliving(id);
		uint32_t s;

		if (!gp || (s = READ_ONCE(gp->status)) == Gdead || s == Gidle)
			continue;
		shown++;
		print("G%u: %s (%s) at %lx m=%d\n", id, statuses[s],
		      s == Gwaiting ? waitreasons[gp->waitreason] : "",
		      (unsigned long)gp->waitaddr, gtid(gp));
	}
}

void throw(const char *fmt, ...)
{
	struct out o = { .n = 0 };
	va_list ap;

	va_start(ap, fmt);
	for (const char *s = "gmp_shim: fatal: "; *s; s++)
		put(&o, *s);
	format(&o, fmt, ap);
	put(&o, '\n');
	va_end(ap);
	tostderr(&o);
	dump();
	RAW(__NR_tgkill, RAW(__NR_getpid), RAW(__NR_gettid), 6);
	__builtin_trap();
}
