// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * flow - a steady UDP flow with sequence numbers, to measure an outage.
 *
 * Sends a packet every -i milliseconds to the peer's flow and writes down what
 * it sends and what it gets, one line each:
 *
 *	s SEQ SENT           SENT, GOT: CLOCK_REALTIME, microseconds
 *	e SEQ SENT ERRNO     the kernel refused it: counts as sent and lost
 *	r SEQ SENT GOT       from the peer
 *
 * Both ends run in one kernel, so one clock. flow_report.py reads the files.
 * Deadlines are absolute: a late packet does not shift those after it.
 * Single-threaded; runs until it is signalled.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#define FLOW_MAGIC 0x6d63666c6f773031ULL

struct packet {
	uint64_t magic;
	uint64_t seq;
	uint64_t sent;
	uint8_t pad[40];
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

static int open_socket(const char *dev, const char *local, const char *remote, int port)
{
	struct sockaddr_in addr = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port) };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0)
		die("socket");
	if (*dev && setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, dev, (socklen_t)strlen(dev)))
		die("SO_BINDTODEVICE");
	if (inet_pton(AF_INET, local, &addr.sin_addr) != 1)
		die(local);
	if (bind(fd, (struct sockaddr *)&addr, sizeof(addr)))
		die("bind");
	if (inet_pton(AF_INET, remote, &addr.sin_addr) != 1)
		die(remote);
	if (connect(fd, (struct sockaddr *)&addr, sizeof(addr)))
		die("connect");
	return fd;
}

static int open_timer(long interval_ms)
{
	struct itimerspec spec = {
		.it_interval = { interval_ms / 1000, interval_ms % 1000 * 1000000 },
		.it_value = { 0, 1000000 },
	};
	int fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);

	if (fd < 0 || timerfd_settime(fd, 0, &spec, NULL))
		die("timerfd");
	return fd;
}

static void send_one(int fd, FILE *out, uint64_t seq)
{
	struct packet p = { .magic = FLOW_MAGIC, .seq = seq, .sent = now_us() };

	if (send(fd, &p, sizeof(p), 0) == (ssize_t)sizeof(p))
		fprintf(out, "s %llu %llu\n", (unsigned long long)seq, (unsigned long long)p.sent);
	else
		fprintf(out, "e %llu %llu %d\n", (unsigned long long)seq,
			(unsigned long long)p.sent, errno);
}

/* Takes all that is there; errors that ICMP left on the socket are not packets. */
static void receive(int fd, FILE *out)
{
	struct packet p;
	ssize_t n;

	while ((n = recv(fd, &p, sizeof(p), 0)) >= 0 || (errno != EAGAIN && errno != EINTR)) {
		if (n == (ssize_t)sizeof(p) && p.magic == FLOW_MAGIC)
			fprintf(out, "r %llu %llu %llu\n", (unsigned long long)p.seq,
				(unsigned long long)p.sent, (unsigned long long)now_us());
	}
}

int main(int argc, char **argv)
{
	const char *dev = "", *local = NULL, *remote = NULL, *file = NULL;
	struct sigaction action = { .sa_handler = on_signal };
	long interval = 10;
	int port = 5005, opt, fd, timer;
	uint64_t seq = 0, ticks;
	FILE *out;

	while ((opt = getopt(argc, argv, "d:s:r:p:i:o:")) != -1) {
		switch (opt) {
		case 'd': dev = optarg; break;
		case 's': local = optarg; break;
		case 'r': remote = optarg; break;
		case 'p': port = atoi(optarg); break;
		case 'i': interval = atol(optarg); break;
		case 'o': file = optarg; break;
		default: local = NULL; goto usage;
		}
	}
usage:
	if (!local || !remote || !file || interval < 1) {
		fprintf(stderr, "usage: flow [-d DEV] -s LOCAL -r REMOTE [-p PORT] [-i MS] -o FILE\n");
		return 2;
	}
	out = fopen(file, "we");
	if (!out)
		die(file);
	setvbuf(out, NULL, _IOLBF, 0);
	fd = open_socket(dev, local, remote, port);
	timer = open_timer(interval);
	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGINT, &action, NULL);

	while (!stop) {
		struct pollfd fds[2] = { { .fd = fd, .events = POLLIN },
					 { .fd = timer, .events = POLLIN } };

		if (poll(fds, 2, -1) < 0)
			continue;
		if (fds[0].revents)
			receive(fd, out);
		/* A tick that was slept through is a packet that was not sent, not a burst. */
		if (fds[1].revents && read(timer, &ticks, sizeof(ticks)) == (ssize_t)sizeof(ticks))
			send_one(fd, out, seq++);
	}
	fclose(out);
	return 0;
}
