// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * flows - as flow, for many tunnels from one process: N steady UDP flows with
 * sequence numbers between N addresses at the customers' end and one at the other.
 *
 * Each flow sends a packet every -i milliseconds, the flows one after the other
 * and never all at once. Written down, one line each:
 *
 *	s FLOW SEQ SENT           SENT, GOT: CLOCK_REALTIME, microseconds
 *	e FLOW SEQ SENT ERRNO     the kernel refused it: counts as sent and lost
 *	r FLOW SEQ SENT GOT       from the peer
 *
 * Lines leave the process ten times a second, not one by one: a write a packet would
 * be the load that is measured. -l is the local address and -r the remote one of
 * flow 1; -L (-R) counts the local (remote) address up with the flow.
 * Both ends run in one kernel, so one clock. Single-threaded; runs until signalled.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#define FLOWS_MAGIC 0x6d63666c6f777331ULL
#define FLOWS_MAX 250
#define PORT 5100
#define FLUSH_US 100000

struct packet {
	uint64_t magic;
	uint64_t seq;
	uint64_t sent;
	uint32_t flow;
	uint8_t pad[36];
};

static volatile sig_atomic_t stop;

static void on_signal(int number)
{
	(void)number;
	stop = 1;
}

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static uint64_t now_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

static struct sockaddr_in address(const char *first, int add, int port)
{
	struct sockaddr_in addr = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port) };

	if (inet_pton(AF_INET, first, &addr.sin_addr) != 1)
		die(first);
	addr.sin_addr.s_addr = htonl(ntohl(addr.sin_addr.s_addr) + (uint32_t)add);
	return addr;
}

static int open_socket(const char *dev, struct sockaddr_in local, struct sockaddr_in remote)
{
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0)
		die("socket");
	if (*dev && setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, dev, (socklen_t)strlen(dev)))
		die("SO_BINDTODEVICE");
	if (bind(fd, (struct sockaddr *)&local, sizeof(local)))
		die("bind");
	if (connect(fd, (struct sockaddr *)&remote, sizeof(remote)))
		die("connect");
	return fd;
}

static int open_timer(long us)
{
	struct itimerspec spec = {
		.it_interval = { us / 1000000, us % 1000000 * 1000 },
		.it_value = { 0, 1000000 },
	};
	int fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);

	if (fd < 0 || timerfd_settime(fd, 0, &spec, NULL))
		die("timerfd");
	return fd;
}

static void watch(int epoll, int fd, uint32_t what)
{
	struct epoll_event event = { .events = EPOLLIN, .data.u32 = what };

	if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event))
		die("epoll");
}

static void send_one(int fd, FILE *out, uint32_t flow, uint64_t seq)
{
	struct packet p = { .magic = FLOWS_MAGIC, .seq = seq, .sent = now_us(), .flow = flow };
	int sent = send(fd, &p, sizeof(p), 0) == (ssize_t)sizeof(p);

	fprintf(out, sent ? "s %u %llu %llu\n" : "e %u %llu %llu %d\n", flow,
		(unsigned long long)seq, (unsigned long long)p.sent, errno);
}

/* Takes all that is there; errors that ICMP left on the socket are not packets. */
static void receive(int fd, FILE *out, uint32_t flow)
{
	struct packet p;
	ssize_t n;

	while ((n = recv(fd, &p, sizeof(p), 0)) >= 0 || (errno != EAGAIN && errno != EINTR)) {
		if (n == (ssize_t)sizeof(p) && p.magic == FLOWS_MAGIC && p.flow == flow)
			fprintf(out, "r %u %llu %llu %llu\n", flow, (unsigned long long)p.seq,
				(unsigned long long)p.sent, (unsigned long long)now_us());
	}
}

int main(int argc, char **argv)
{
	const char *dev = "", *local = NULL, *remote = NULL, *file = NULL;
	struct sigaction action = { .sa_handler = on_signal };
	int count = 1, up_local = 0, up_remote = 0, opt, epoll, timer, fds[FLOWS_MAX];
	uint64_t ticks, turn = 0, flushed = 0;
	long interval = 100;
	FILE *out;

	while ((opt = getopt(argc, argv, "d:l:r:n:i:o:LR")) != -1) {
		switch (opt) {
		case 'd': dev = optarg; break;
		case 'l': local = optarg; break;
		case 'r': remote = optarg; break;
		case 'n': count = atoi(optarg); break;
		case 'i': interval = atol(optarg); break;
		case 'o': file = optarg; break;
		case 'L': up_local = 1; break;
		case 'R': up_remote = 1; break;
		default: local = NULL; goto usage;
		}
	}
usage:
	if (!local || !remote || !file || interval < 1 || count < 1 || count > FLOWS_MAX) {
		fprintf(stderr, "usage: flows [-d DEV] -l LOCAL [-L] -r REMOTE [-R] [-n FLOWS] [-i MS] -o FILE\n");
		return 2;
	}
	out = fopen(file, "we");
	if (!out)
		die(file);
	setvbuf(out, NULL, _IOFBF, 1 << 16);
	epoll = epoll_create1(EPOLL_CLOEXEC);
	if (epoll < 0)
		die("epoll");
	for (int i = 0; i < count; i++) {
		fds[i] = open_socket(dev, address(local, up_local ? i : 0, PORT + i),
				     address(remote, up_remote ? i : 0, PORT + i));
		watch(epoll, fds[i], (uint32_t)i);
	}
	timer = open_timer(interval * 1000 / count);
	watch(epoll, timer, FLOWS_MAX);
	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGINT, &action, NULL);

	while (!stop) {
		struct epoll_event events[64];
		int n = epoll_wait(epoll, events, 64, -1);

		for (int i = 0; i < n; i++) {
			uint32_t what = events[i].data.u32;

			if (what < FLOWS_MAX) {
				receive(fds[what], out, what + 1);
				continue;
			}
			if (read(timer, &ticks, sizeof(ticks)) != (ssize_t)sizeof(ticks))
				continue;
			/* Every flow has its turn also after a sleep, but once only: no burst. */
			if (ticks > (uint64_t)count)
				ticks = (uint64_t)count;
			for (; ticks; ticks--, turn++)
				send_one(fds[turn % (uint64_t)count], out,
					 (uint32_t)(turn % (uint64_t)count) + 1, turn / (uint64_t)count);
		}
		if (now_us() - flushed >= FLUSH_US) {
			fflush(out);
			flushed = now_us();
		}
	}
	fclose(out);
	return 0;
}
