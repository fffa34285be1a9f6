/* option.c - the settings: what is taken, what is refused and how. */
#include "test/unit/unit.h"

static struct {
	const char *name, *value;
} env[8];

static const char *get(const char *name)
{
	for (size_t i = 0; i < COUNT(env); i++)
		if (env[i].name && !strcmp(env[i].name, name))
			return env[i].value;
	return NULL;
}

/* Read the settings with one more set; what was printed. */
static const char *with(const char *name, const char *value)
{
	static struct capture c;

	env[0].name = name;
	env[0].value = value;
	begincapture(&c);
	optionsinit(get);
	return endcapture(&c);
}

static void accepts(const char *name, const char *value)
{
	const char *said = with(name, value);

	cr_assert_str_eq(said, "", "%s=%s: %s", name, value, said);
}

/* One line that names the setting, the value and what would be accepted. */
static void refuses(const char *name, const char *value, const char *accepted)
{
	struct options was = options;
	const char *said = with(name, value);

	cr_assert_eq(lines(said), 1, "%s=%s said: '%s'", name, value, said);
	cr_assert_eq(said[strlen(said) - 1], '\n');
	cr_assert(strstr(said, name), "%s", said);
	cr_assert(strstr(said, value), "%s", said);
	cr_assert(strstr(said, accepted), "%s", said);
	cr_assert_eq(memcmp(&was, &options, sizeof(was)), 0,
		     "%s=%s changed something", name, value);
}

Test(option, defaults, .timeout = 10)
{
	accepts("OTHER", "1");
	cr_assert_eq(options.maxprocs, 0);
	cr_assert_eq(options.stack, 0);
	cr_assert_eq(options.verbose, 0);
	cr_assert_eq(options.schedtrace, 0);
	cr_assert_eq(options.off, 0);
	cr_assert_eq(options.childrenoff, 0);
}

Test(option, good, .timeout = 10)
{
	accepts("GMP_SHIM_MAXPROCS", "1");
	cr_assert_eq(options.maxprocs, 1);
	accepts("GMP_SHIM_MAXPROCS", "256");
	cr_assert_eq(options.maxprocs, 256);
	accepts("GMP_SHIM_MAXPROCS", "007");
	cr_assert_eq(options.maxprocs, 7);
	accepts("GMP_SHIM_VERBOSE", "1");
	cr_assert_eq(options.verbose, 1);
	accepts("GMP_SHIM_VERBOSE", "0");
	cr_assert_eq(options.verbose, 0);
	accepts("GMP_SHIM", "on");
	cr_assert_eq(options.off, 0);
	accepts("GMP_SHIM", "");
	cr_assert_eq(options.off, 0);
	accepts("GMP_SHIM", "off");
	cr_assert_eq(options.off, 1);
	accepts("GMP_SHIM_DEBUG", "schedtrace=250");
	cr_assert_eq(options.schedtrace, 250);
	accepts("GMP_SHIM_DEBUG", "schedtrace=10,schedtrace=3600000");
	cr_assert_eq(options.schedtrace, 3600000);
	accepts("GMP_SHIM_DEBUG", "");
}

Test(option, units, .timeout = 10)
{
	static const struct {
		const char *s;
		int64_t v;
	} good[] = {
		{ "16384", 16384 },	  { "16K", 16384 },
		{ "64k", 65536 },	  { "8M", 8 << 20 },
		{ "1m", 1 << 20 },	  { "2G", 2l << 30 },
		{ "1g", 1l << 30 },	  { "1024G", 1l << 40 },
		{ "1099511627776", 1l << 40 },
	};

	for (size_t i = 0; i < COUNT(good); i++) {
		accepts("GMP_SHIM_STACK", good[i].s);
		cr_assert_eq(options.stack, good[i].v, "%s", good[i].s);
	}
}

Test(option, several_at_once, .timeout = 10)
{
	env[1].name = "GMP_SHIM_MAXPROCS";
	env[1].value = "3";
	env[2].name = "GMP_SHIM_STACK";
	env[2].value = "128K";
	accepts("GMP_SHIM_VERBOSE", "1");
	cr_assert_eq(options.maxprocs, 3);
	cr_assert_eq(options.stack, 128 << 10);
	cr_assert_eq(options.verbose, 1);
}

Test(option, bad_numbers, .timeout = 10)
{
	static const char *const bad[] = {
		"0", "257", "-1", "+1", "four", "4x", "1KK", "K", " 1", "1 ",
		"0x4", "1.5", "9223372036854775807", "18446744073709551617",
		"99999999999999999999999999999999",
	};

	options.maxprocs = 5; /* as if it were the default */
	for (size_t i = 0; i < COUNT(bad); i++)
		refuses("GMP_SHIM_MAXPROCS", bad[i], "from 1 to 256");
	refuses("GMP_SHIM_MAXPROCS", "", "from 1 to 256");
	refuses("GMP_SHIM_STACK", "16383", "from 16384 to 1099511627776");
	refuses("GMP_SHIM_STACK", "1025G", "from 16384 to 1099511627776");
	refuses("GMP_SHIM_STACK", "8MB", "from 16384 to 1099511627776");
	refuses("GMP_SHIM_VERBOSE", "2", "from 0 to 1");
	refuses("GMP_SHIM_VERBOSE", "yes", "from 0 to 1");
}

/* Numbers whose unit lifts them past 64 bits, to where they look good again. */
Test(option, units_do_not_overflow, .timeout = 10)
{
	refuses("GMP_SHIM_STACK", "17179869185G", "from 16384");
	refuses("GMP_SHIM_STACK", "17592186044417M", "from 16384");
	refuses("GMP_SHIM_STACK", "18014398509482000K", "from 16384");
	refuses("GMP_SHIM_STACK", "8589934592G", "from 16384");
}

Test(option, bad_words, .timeout = 10)
{
	refuses("GMP_SHIM", "of", "on, off");
	refuses("GMP_SHIM", "offf", "on, off");
	refuses("GMP_SHIM", "OFF", "on, off");
	refuses("GMP_SHIM", "1", "on, off");
	refuses("GMP_SHIM_CHILDREN", "no", "on, off");
	refuses("GMP_SHIM_DEBUG", "schedtrace=0", "from 1 to 3600000");
	refuses("GMP_SHIM_DEBUG", "schedtrace=3600001", "from 1 to 3600000");
	refuses("GMP_SHIM_DEBUG", "schedtrace", "schedtrace=N");
	refuses("GMP_SHIM_DEBUG", "schedtrace=", "schedtrace=N");
	refuses("GMP_SHIM_DEBUG", "trace=1", "schedtrace=N");
}

Test(option, signals, .timeout = 10)
{
	static const struct {
		const char *s;
		int sig;
	} good[] = {
		{ "URG", 23 },	    { "SIGURG", 23 },	  { "23", 23 },
		{ "SIGUSR2", 12 },  { "12", 12 },	  { "HUP", 1 },
		{ "RTMIN", 34 },    { "SIGRTMIN+3", 37 }, { "RTMAX", 64 },
		{ "RTMAX-30", 34 }, { "RTMIN+30", 64 },	  { "40", 40 },
	};
	static const char *const bad[] = {
		"KILL",	    "9",       "SIGSTOP", "SEGV",     "11",
		"32",	    "33",      "65",	  "0",	      "-1",
		"usr2",	    "USR3",    "SIG",	  "RTMIN+31", "RTMAX-31",
		"RTMAX-54", "RTMIN-1", "RTMIN+",  "RTMIN3",   "CHLD",
		"INT",	    "ABRT",
	};

	cr_assert_eq(options.preemptsignal, 23);
	for (size_t i = 0; i < COUNT(good); i++) {
		accepts("GMP_SHIM_PREEMPT_SIGNAL", good[i].s);
		cr_assert_eq(options.preemptsignal, good[i].sig, "%s",
			     good[i].s);
	}
	for (size_t i = 0; i < COUNT(bad); i++)
		refuses("GMP_SHIM_PREEMPT_SIGNAL", bad[i], "RTMIN to RTMAX");
	refuses("GMP_SHIM_PREEMPT_SIGNAL", "", "RTMIN to RTMAX");
}

Test(option, one_bad_item_of_two, .timeout = 10)
{
	const char *said = with("GMP_SHIM_DEBUG", "x=1,schedtrace=7");

	cr_assert_eq(lines(said), 1);
	cr_assert(strstr(said, "x=1"));
	cr_assert_eq(options.schedtrace, 7);
	said = with("GMP_SHIM_DEBUG", "x=1,y=2");
	cr_assert_eq(lines(said), 2, "a line for each");
}

/* Longer than print's buffer: still one line that says what is accepted. */
Test(option, endless_value, .timeout = 10)
{
	static char s[5000];
	const char *said;

	memset(s, '7', sizeof(s) - 1);
	said = with("GMP_SHIM_STACK", s);
	cr_assert_eq(lines(said), 1);
	cr_assert_eq(options.stack, 0);
	said = with("GMP_SHIM_DEBUG", s);
	cr_assert_eq(lines(said), 1);
}

Test(option, text, .timeout = 10)
{
	static struct capture c;
	const char *said;

	accepts("GMP_SHIM_BLOCKING", "a.so:f()v\nb.so:g()v");
	cr_assert_str_eq(options.blocking, "a.so:f()v\nb.so:g()v");
	begincapture(&c);
	optionsprint();
	said = endcapture(&c);
	cr_assert(strstr(said, "\ngmp_shim: GMP_SHIM_BLOCKING=a.so:f()v\n"
			       "gmp_shim: GMP_SHIM_BLOCKING=b.so:g()v\n"),
		  "%s", said);
	accepts("OTHER", "1");
	cr_assert_null(options.blocking);
	begincapture(&c);
	optionsprint();
	said = endcapture(&c);
	cr_assert(strstr(said, "GMP_SHIM_BLOCKING= (default)\n"), "%s", said);
}

Test(option, printed, .timeout = 10)
{
	static struct capture c;
	const char *said;

	accepts("GMP_SHIM_MAXPROCS", "12");
	begincapture(&c);
	optionsprint();
	said = endcapture(&c);
	cr_assert(strstr(said, "GMP_SHIM_MAXPROCS=12\n"), "%s", said);
	cr_assert(strstr(said, "GMP_SHIM_STACK=0 (default)\n"), "%s", said);
	cr_assert(strstr(said, "GMP_SHIM_VERBOSE=0 (default)\n"), "%s", said);
}
