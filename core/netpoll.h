/* netpoll.h - what the files about readiness share, and nobody else: netpoll.c (events,
 * registrations, waits), netpoll_epoll.c (the instance) and netpoll_know.c (what is
 * learned of files).
 */
#ifndef CORE_NETPOLL_H
#define CORE_NETPOLL_H

#include "core/runtime.h"

#define MS	  1000000l
#define RECHECK	  (100 * MS) /* how long something is taken on trust */
#define READS	  (EPOLLIN | EPOLLPRI | EPOLLRDHUP)
#define POLLBREAK (~0ull)    /* the event of netpollbreak */
#define ENDS	  (1u << 31) /* of the hints, ours: see "Drained" */

struct polldesc {
	uint32_t gen;	 /* by lock; read anywhere */
	uint32_t seq[2]; /* NETPOLL_READ, NETPOLL_WRITE; waiters' address */
	uint32_t armed;	 /* events registered for gen, 0: none */
	struct mutex lock;
	uint32_t hints; /* netpollhint */
	struct pollnode *nodes;
	int64_t sure;	/* when it was last made sure of; by lock, read anywhere */
	uint32_t nwait; /* Gs in netpollwait */
	/* hints, see "Peers" */
	uint32_t peer; /* 1 + the number of what gets ready when this is written to */
	uint8_t seen; /* how often that was so */
	uint8_t vain; /* see "Drained" */
	uint16_t drained;
	uint32_t from; /* 1 + the number whose writer wakes this one's reader */
	int64_t looked; /* netpolllooked */
};

/* ---- netpoll.c */
struct polldesc *polldesc(int fd, bool make); /* NULL: no such number, or no memory */
void netpollunarm(void);

/* ---- netpoll_epoll.c */
bool netpollinit(void);
long netpollctl(int op, int fd, uint32_t events, uint32_t gen);
uint32_t netpollmade(void);
int netpollrenewed(uint32_t was);
uint32_t netpollownin(uint32_t first, uint32_t last);
void netpollepollfork(void);

/* ---- netpoll_know.c */
void netpolllearn(struct polldesc *pd, const struct epoll_event *ev);
void netpollforget(struct polldesc *pd);
void netpollvain(struct polldesc *pd, const struct pollstate *ps);
void netpollunknown(struct polldesc *pd);

#endif
