/* option.c - the settings: one table (option.def), read once. */
#include "core/runtime.h"
#include <asm/signal.h>

struct options options = {
#define OPTION(field, env, dflt, lo, hi, what) .field = dflt,
#define OPTION_SIGNAL(field, env, dflt, what)  .field = dflt,
#define OPTION_TEXT(field, env, what)
#define OPTION_WORD(field, env, what)
#include "core/option.def"
#undef OPTION
#undef OPTION_SIGNAL
#undef OPTION_TEXT
#undef OPTION_WORD
};

static bool eq(const char *a, const char *b)
{
	while (*a && *a == *b)
		a++, b++;
	return *a == *b;
}

static bool startswith(const char *s, const char *prefix)
{
	while (*prefix)
		if (*s++ != *prefix++)
			return false;
	return true;
}

/* A decimal number with an optional K, M or G; -1 if it is none. */
static int64_t number(const char *s)
{
	int64_t v = 0;
	int shift = 0;

	if (!*s)
		return -1;
	for (; *s >= '0' && *s <= '9'; s++) {
		if (v > INT64_MAX / 100)
			return -1;
		v = v * 10 + (*s - '0');
	}
	if (*s == 'K' || *s == 'k')
		shift = 10, s++;
	else if (*s == 'M' || *s == 'm')
		shift = 20, s++;
	else if (*s == 'G' || *s == 'g')
		shift = 30, s++;
	return *s || v > INT64_MAX >> shift ? -1 : v << shift;
}

static void bad(const char *env, const char *value, const char *accepted)
{
	print("gmp_shim: %s=%s is not accepted (%s); the default is used\n",
	      env, value, accepted);
}

static void setnumber(int64_t *field, const char *env, const char *s,
		      int64_t lo, int64_t hi)
{
	int64_t v = number(s);

	if (v < lo || v > hi)
		print("gmp_shim: %s=%s is not accepted (a number from %ld to "
		      "%ld); the default is used\n",
		      env, s, (long)lo, (long)hi);
	else
		*field = v;
}

/* GMP_SHIM_DEBUG: name=value, comma-separated. */
static void parsedebug(const char *s)
{
	while (*s) {
		char item[64];
		size_t n = 0;

		while (*s && *s != ',' && n < sizeof(item) - 1)
			item[n++] = *s++;
		item[n] = 0;
		if (startswith(item, "schedtrace=") &&
		    number(item + 11) >= 1 && number(item + 11) <= 3600000)
			options.schedtrace = number(item + 11);
		else
			bad("GMP_SHIM_DEBUG", item,
			    "schedtrace=N with N from 1 to 3600000");
		while (*s && *s != ',')
			s++;
		if (*s == ',')
			s++;
	}
}

static void setoff(int *field, const char *env, const char *s)
{
	if (s && eq(s, "off"))
		*field = 1;
	else if (s && !eq(s, "on") && *s)
		bad(env, s, "on, off");
}

/* Those that nobody but the program gives a meaning to: the kernel, libc and shells have
 * their own ideas of the others, and of what it means when they are lost or ignored. */
static const struct {
	const char *name;
	int sig;
} signals[] = {
	{ "HUP", SIGHUP },     { "USR1", SIGUSR1 },	{ "USR2", SIGUSR2 },
	{ "ALRM", SIGALRM },   { "TERM", SIGTERM },	{ "STKFLT", SIGSTKFLT },
	{ "URG", SIGURG },     { "VTALRM", SIGVTALRM }, { "PROF", SIGPROF },
	{ "WINCH", SIGWINCH }, { "IO", SIGIO },		{ "PWR", SIGPWR },
};
#define REALTIME0 34 /* libc's SIGRTMIN, and SIGRTMAX */
#define REALTIME1 64

/* A signal's name, with or without SIG, or number; 0: none that will do. */
static int signalof(const char *s)
{
	bool min, max;
	int64_t n;

	if (startswith(s, "SIG"))
		s += 3;
	min = startswith(s, "RTMIN");
	max = startswith(s, "RTMAX");
	if (min || max) {
		n = !s[5] ? 0 : s[5] == (min ? '+' : '-') ? number(s + 6) : -1;
		if (n < 0 || n > REALTIME1 - REALTIME0)
			return 0;
		return (int)(min ? REALTIME0 + n : REALTIME1 - n);
	}
	n = number(s);
	if (n >= REALTIME0 && n <= REALTIME1)
		return (int)n;
	for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
		if (eq(s, signals[i].name) || n == signals[i].sig)
			return signals[i].sig;
	return 0;
}

static void setsignal(int *field, const char *env, const char *s)
{
	int sig = signalof(s);

	if (sig)
		*field = sig;
	else
		bad(env, s,
		    "HUP, USR1, USR2, ALRM, TERM, STKFLT, URG, VTALRM, PROF, "
		    "WINCH, IO, PWR, RTMIN to RTMAX, or the number");
}

void optionsinit(const char *(*get)(const char *name))
{
	const char *s;

#define OPTION(field, env, dflt, lo, hi, what)                                 \
	{                                                                      \
		const char *name = env;                                        \
									       \
		if (name && (s = get(name)))                                   \
			setnumber(&options.field, name, s, lo, hi);            \
	}
#define OPTION_SIGNAL(field, env, dflt, what)                                  \
	if ((s = get(env)))                                                    \
		setsignal(&options.field, env, s);
#define OPTION_TEXT(field, env, what) options.field = get(env);
#define OPTION_WORD(field, env, what)
#include "core/option.def"
#undef OPTION
#undef OPTION_SIGNAL
#undef OPTION_TEXT
#undef OPTION_WORD
	setoff(&options.off, "GMP_SHIM", get("GMP_SHIM"));
	setoff(&options.childrenoff, "GMP_SHIM_CHILDREN",
	       get("GMP_SHIM_CHILDREN"));
	s = get("GMP_SHIM_DEBUG");
	if (s)
		parsedebug(s);
}

/* A line of output for each line of the value. */
static void printtext(const char *env, const char *s)
{
	char line[512];

	do {
		size_t n = 0;

		for (; *s && *s != '\n'; s++)
			if (n < sizeof(line) - 1)
				line[n++] = *s;
		line[n] = 0;
		print("gmp_shim: %s=%s\n", env, line);
	} while (*s++);
}

void optionsprint(void)
{
#define OPTION(field, env, dflt, lo, hi, what)                                 \
	print("gmp_shim: %s=%ld%s\n", env ? env : "GMP_SHIM_DEBUG:" #field,    \
	      (long)options.field,                                             \
	      options.field == (dflt) ? " (default)" : "");
#define OPTION_SIGNAL(field, env, dflt, what)                                  \
	print("gmp_shim: %s=%d%s\n", env, options.field,                       \
	      options.field == (dflt) ? " (default)" : "");
#define OPTION_TEXT(field, env, what)                                          \
	printtext(env, options.field ? options.field : " (default)");
#define OPTION_WORD(field, env, what)
#include "core/option.def"
#undef OPTION
#undef OPTION_SIGNAL
#undef OPTION_TEXT
#undef OPTION_WORD
}
