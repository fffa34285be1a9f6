/* echo_server - sends back what it gets, a thread a connection, until SIGTERM. */
#include "bench.h"
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <sys/socket.h>

static void *serve(void *arg)
{
	int fd = (int)(intptr_t)arg;
	char buf[4096];
	ssize_t n;

	while ((n = read(fd, buf, sizeof(buf))) > 0)
		for (ssize_t done = 0, w; done < n; done += w)
			if ((w = write(fd, buf + done, n - done)) < 0)
				goto out;
out:
	close(fd);
	return NULL;
}

static void *listener(void *arg)
{
	int fd = (int)(intptr_t)arg, one = 1;

	for (;;) {
		pthread_t t;
		int c = accept(fd, NULL, NULL);

		if (c < 0)
			die("accept");
		setsockopt(c, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
		must(pthread_create(&t, NULL, serve, (void *)(intptr_t)c),
		     "pthread_create");
		pthread_detach(t);
	}
}

int main(int argc, char **argv)
{
	struct sockaddr_in at = { .sin_family = AF_INET };
	int fd = socket(AF_INET, SOCK_STREAM, 0), one = 1, sig;
	pthread_t t;
	sigset_t set;

	begin(argc, argv);
	at.sin_port = htons(number("port", 7801));
	at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	params_done();
	more_files();
	signal(SIGPIPE, SIG_IGN);
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigprocmask(SIG_BLOCK, &set, NULL);
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (fd < 0 || bind(fd, (struct sockaddr *)&at, sizeof(at)) ||
	    listen(fd, 4096))
		die("listen");
	must(pthread_create(&t, NULL, listener, (void *)(intptr_t)fd),
	     "pthread_create");
	sigwait(&set, &sig);
	return 0; /* and what it counted is reported */
}
