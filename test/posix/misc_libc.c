/*
 * misc_libc - parts of libc that keep state or use much stack, in threads:
 * sorting, character conversion, random numbers, environment, regular
 * expressions, numbers to text and back.
 */
#include "check.h"
#include <netdb.h>
#include <pwd.h>
#include <iconv.h>
#include <math.h>
#include <regex.h>

enum { N = 40 };

static int compare(const void *a, const void *b)
{
	int x = *(const int *)a, y = *(const int *)b;

	if (x % 512 == 0)
		sched_yield();
	return (x > y) - (x < y);
}

static int compare_r(const void *a, const void *b, void *calls)
{
	++*(long *)calls;
	return compare(a, b);
}

static void *sorts(void *arg)
{
	enum { ITEMS = 2000 };
	unsigned seed = (unsigned)(long)arg;
	int *v = malloc(ITEMS * sizeof(*v)), i, key;
	long calls = 0;

	CHECK(v != NULL);
	for (i = 0; i < ITEMS; i++)
		v[i] = rand_r(&seed) % 100000;
	key = v[7];
	if ((long)arg & 1)
		qsort(v, ITEMS, sizeof(*v), compare);
	else
		qsort_r(v, ITEMS, sizeof(*v), compare_r, &calls);
	for (i = 1; i < ITEMS; i++)
		CHECK(v[i - 1] <= v[i]);
	CHECK(bsearch(&key, v, ITEMS, sizeof(*v), compare) != NULL);
	free(v);
	return NULL;
}

static void *converts(void *arg)
{
	char in[] = "caf\xe9 na\xefve", out[64], *i, *o;
	size_t left, room;
	iconv_t cd;
	int k;

	for (k = 0; k < 5; k++) {
		cd = iconv_open("UTF-8", "ISO-8859-1");
		CHECK(cd != (iconv_t)-1);
		i = in;
		o = out;
		left = strlen(in);
		room = sizeof(out);
		CHECK(iconv(cd, &i, &left, &o, &room) == 0);
		sched_yield();
		*o = 0;
		CHECK(strcmp(out, "caf\xc3\xa9 na\xc3\xafve") == 0);
		CHECK(iconv_close(cd) == 0);
	}
	return arg;
}

static void *numbers(void *arg)
{
	double d = (long)arg + 0.125;
	char text[64];
	int k;

	for (k = 0; k < 50; k++) {
		snprintf(text, sizeof(text), "%.3f %a", d, d);
		CHECK(strtod(text, NULL) == d);
		sched_yield();
		CHECK(fabs(sqrt(d * d) - d) < 1e-9);
		/* The rounding mode and the flags are the thread's own. */
		CHECK(nearbyint(2.5) == 2.0);
	}
	return NULL;
}

static void *matches(void *arg)
{
	regmatch_t m[3];
	regex_t re;
	int k;

	for (k = 0; k < 5; k++) {
		CHECK(regcomp(&re, "([a-z]+)-([0-9]+)", REG_EXTENDED) == 0);
		sched_yield();
		CHECK(regexec(&re, "  thread-42 ", 3, m, 0) == 0);
		CHECK(m[1].rm_so == 2 && m[2].rm_eo == 11);
		CHECK(regexec(&re, "none", 3, m, 0) == REG_NOMATCH);
		regfree(&re);
	}
	return arg;
}

static void *reads_environment(void *arg)
{
	int k;

	for (k = 0; k < 50; k++) {
		CHECK(strcmp(getenv("MISC_LIBC"), "set") == 0);
		sched_yield();
	}
	return arg;
}

/* With nothing to ask a server for. */
static void *looks_up(void *arg)
{
	struct addrinfo hints = { .ai_flags = AI_NUMERICHOST,
				  .ai_socktype = SOCK_STREAM },
			*res;
	struct passwd pw, *got;
	char buf[4096], host[64];

	CHECK_EQ(getaddrinfo("127.0.0.1", "80", &hints, &res), 0);
	CHECK_EQ(getnameinfo(res->ai_addr, res->ai_addrlen, host, sizeof(host),
			     NULL, 0, NI_NUMERICHOST), 0);
	CHECK(strcmp(host, "127.0.0.1") == 0);
	freeaddrinfo(res);
	CHECK(gethostbyname("127.0.0.1") != NULL);
	CHECK_EQ(getpwuid_r(0, &pw, buf, sizeof(buf), &got), 0);
	CHECK(got == &pw && strcmp(pw.pw_name, "root") == 0);
	CHECK(getpwnam("root") && getpwnam("root")->pw_uid == 0);
	return arg;
}

static void all(const char *what, thread_fn *fn)
{
	section(what);
	run_threads(N, fn);
}

int main(void)
{
	CHECK(setenv("MISC_LIBC", "set", 1) == 0);
	all("sort", sorts);
	all("conversion", converts);
	all("numbers", numbers);
	all("regular expressions", matches);
	all("environment", reads_environment);
	section("names");
	join(start(looks_up, NULL));
	return 0;
}
