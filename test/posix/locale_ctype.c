/*
 * locale_ctype - libc's own state of a thread, in fresh threads: character
 * tables, locales, error texts, static buffers, the resolver.
 */
#include "check.h"
#include <arpa/inet.h>
#include <ctype.h>
#include <locale.h>
#include <netdb.h>
#include <netinet/in.h>
#include <wchar.h>

enum { N = 100 };

static void *ctype(void *arg)
{
	int c;

	for (c = 0; c < 128; c++) {
		CHECK(!!isdigit(c) == (c >= '0' && c <= '9'));
		CHECK(!!isupper(c) == (c >= 'A' && c <= 'Z'));
		CHECK(!!isalpha(c) ==
		      ((c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z')));
		CHECK(tolower(c) == (c >= 'A' && c <= 'Z' ? c + 32 : c));
		CHECK(toupper(c) == (c >= 'a' && c <= 'z' ? c - 32 : c));
		if (c % 32 == 0)
			sched_yield();
	}
	return arg;
}

/* One buffer a thread for unknown errors and for addresses. */
static void *buffers(void *arg)
{
	int me = (int)(long)arg + 10000, i;
	struct in_addr a;
	char want[64], addr[64], *got, *shown;

	snprintf(want, sizeof(want), "Unknown error %d", me);
	snprintf(addr, sizeof(addr), "10.1.%d.%d", me & 127, me % 100);
	CHECK(inet_aton(addr, &a) == 1);
	got = strerror(me);
	shown = inet_ntoa(a);
	for (i = 0; i < 10; i++) {
		CHECK(strcmp(got, want) == 0);
		CHECK(strcmp(shown, addr) == 0);
		sched_yield();
	}
	CHECK(strcmp(strerror(ENOENT), "No such file or directory") == 0);
	CHECK(strncmp(strsignal(SIGRTMIN + 2), "Real-time signal 2", 18) == 0);
	return NULL;
}

static void *tokens(void *arg)
{
	char text[64], *p, *save, want[16];
	int i;

	(void)arg;
	strcpy(text, "t0 t1 t2 t3 t4 t5 t6 t7");
	p = strtok_r(text, " ", &save);
	for (i = 0; i < 8; i++) {
		snprintf(want, sizeof(want), "t%d", i);
		CHECK(p && strcmp(p, want) == 0);
		sched_yield();
		p = strtok_r(NULL, " ", &save);
	}
	CHECK(p == NULL);
	return NULL;
}

static void *locales(void *arg)
{
	locale_t utf8 = newlocale(LC_ALL_MASK, "C.UTF-8", NULL), old, c;
	mbstate_t state;
	wchar_t wc;
	int i;

	CHECK(uselocale(NULL) == LC_GLOBAL_LOCALE);
	CHECK(utf8 != NULL);
	c = newlocale(LC_ALL_MASK, "C", NULL);
	CHECK(c != NULL);
	for (i = 0; i < 10; i++) {
		int use = (i + (int)(long)arg) & 1;

		old = uselocale(use ? utf8 : c);
		CHECK(old != NULL);
		sched_yield();
		CHECK(uselocale(NULL) == (use ? utf8 : c));
		memset(&state, 0, sizeof(state));
		/* Two bytes are one letter, or not a letter at all. */
		if (use)
			CHECK(mbrtowc(&wc, "\xc3\xa9", 2, &state) == 2 &&
			      wc == 0xe9);
		else
			CHECK(mbrtowc(&wc, "\xc3\xa9", 2, &state) != 2);
		CHECK(!!isalpha('x') && !isalpha('1'));
	}
	uselocale(LC_GLOBAL_LOCALE);
	freelocale(utf8);
	freelocale(c);
	return NULL;
}

/* A bare system may have no /etc/hosts. */
static const char *localhost(void)
{
	return access("/etc/hosts", R_OK) == 0 ? "localhost" : "127.0.0.1";
}

static void *resolver(void *arg)
{
	struct addrinfo hints = { .ai_family = AF_INET,
				  .ai_socktype = SOCK_STREAM };
	struct addrinfo *res;
	struct sockaddr_in *in;
	int ret;

	ret = getaddrinfo(localhost(), "80", &hints, &res);
	if (ret)
		check_fail(__FILE__, __LINE__, "localhost: %s",
			   gai_strerror(ret));
	in = (struct sockaddr_in *)res->ai_addr;
	CHECK_EQ(ntohl(in->sin_addr.s_addr) >> 24, 127);
	CHECK_EQ(ntohs(in->sin_port), 80);
	freeaddrinfo(res);
	hints.ai_flags = AI_NUMERICHOST;
	CHECK_EQ(getaddrinfo("no number", NULL, &hints, &res), EAI_NONAME);
	return arg;
}

static void *times(void *arg)
{
	time_t day = 86400L * (1 + (long)arg);
	struct tm tm;
	char text[64];
	int i;

	for (i = 0; i < 10; i++) {
		CHECK(gmtime_r(&day, &tm) == &tm);
		CHECK_EQ(tm.tm_yday, (1 + (long)arg) % 365);
		CHECK(strftime(text, sizeof(text), "%Y-%j", &tm) == 8);
		sched_yield();
		CHECK_EQ(timegm(&tm), day);
	}
	return NULL;
}

static void all(const char *what, thread_fn *fn)
{
	section(what);
	run_threads(N, fn);
}

int main(void)
{
	CHECK(setlocale(LC_ALL, "C") != NULL);
	all("ctype", ctype);
	all("buffers", buffers);
	all("tokens", tokens);
	all("locales", locales);
	all("resolver", resolver);
	all("times", times);
	return 0;
}
