// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * bench-gate - instructions that a node spends on a packet, in a guest whose
 * time stamp counter counts instructions (run.sh --count-instructions).
 *
 *   counts                        exit 0 if the counter does count them
 *   sas N                         N SAs beside the tunnel's
 *   keep DEV FROM TO PROTOCOL BYTES FILE
 *                                 send a UDP datagram from FROM to TO, and keep the
 *                                 frame of that IP protocol that leaves by DEV
 *   replay DEV FILE               send it again and again; two integers: instructions
 *                                 a packet, and of one that is for another station,
 *                                 which ends where the peer's ip_rcv() begins
 *
 * One processor: what a packet causes on the other end of the veth is done
 * inside the send() that brings it there.
 */
#include "nl.h"
#include "xfrm.h"

#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/netlink.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <x86intrin.h>

#define ROUNDS 31
#define PACKETS 64 /* in a round: less than a tick of the kernel's clock */
#define IP_PROTOCOL (ETH_HLEN + 9)

static void fail(const char *what)
{
	perror(what);
	exit(1);
}

/* A loop of a million turns with two instructions each. */
static int counts(void)
{
	uint64_t turns = 1000000, start = __rdtsc(), took;

	__asm__ volatile("1: dec %0\n\tjnz 1b" : "+r"(turns) : : "cc");
	took = __rdtsc() - start;
	fprintf(stderr, "2000000 instructions counted as %lu\n", took);
	return took < 2000000 || took > 2100000;
}

static int packet_socket(const char *dev, int protocol)
{
	struct sockaddr_ll at = {.sll_family = AF_PACKET, .sll_protocol = htons(protocol)};
	int fd = socket(AF_PACKET, SOCK_RAW, htons(protocol));

	at.sll_ifindex = if_nametoindex(dev);
	if (fd < 0 || !at.sll_ifindex || bind(fd, (struct sockaddr *)&at, sizeof(at)) < 0)
		fail(dev);
	return fd;
}

static int keep(char **argv)
{
	struct sockaddr_in from = {.sin_family = AF_INET}, to = {.sin_family = AF_INET, .sin_port = htons(9)};
	int packets = packet_socket(argv[0], ETH_P_ALL), udp = socket(AF_INET, SOCK_DGRAM, 0);
	uint8_t frame[ETH_FRAME_LEN], payload[ETH_DATA_LEN] = {0};
	struct timeval patience = {.tv_sec = 10};
	size_t bytes = atoi(argv[4]);
	ssize_t len;
	FILE *file;

	inet_pton(AF_INET, argv[1], &from.sin_addr);
	inet_pton(AF_INET, argv[2], &to.sin_addr);
	if (bytes > sizeof(payload) || bind(udp, (struct sockaddr *)&from, sizeof(from)) < 0 ||
	    sendto(udp, payload, bytes, 0, (struct sockaddr *)&to, sizeof(to)) < 0)
		fail(argv[2]);
	setsockopt(packets, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	do {
		len = recv(packets, frame, sizeof(frame), 0);
		if (len < 0)
			fail("no such packet left");
	} while (len <= IP_PROTOCOL || frame[12] != 8 || frame[13] != 0 ||
		 frame[IP_PROTOCOL] != atoi(argv[3]));
	file = fopen(argv[5], "w");
	if (!file || fwrite(frame, len, 1, file) != 1 || fclose(file))
		fail(argv[5]);
	return 0;
}

static int compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

/* The median round's instructions a packet. */
static uint64_t each(int fd, const uint8_t *frame, size_t len)
{
	uint64_t took[ROUNDS];

	for (int r = 0; r < ROUNDS; r++) {
		uint64_t start = __rdtsc();

		for (int i = 0; i < PACKETS; i++)
			if (send(fd, frame, len, 0) != (ssize_t)len)
				fail("send");
		took[r] = (__rdtsc() - start) / PACKETS;
	}
	qsort(took, ROUNDS, sizeof(*took), compare);
	return took[ROUNDS / 2];
}

static int replay(char **argv)
{
	int fd = packet_socket(argv[0], 0); /* hears nothing */
	uint8_t frame[ETH_FRAME_LEN];
	uint64_t whole, other;
	FILE *file = fopen(argv[1], "r");
	size_t len = file ? fread(frame, 1, sizeof(frame), file) : 0;

	if (!len)
		fail(argv[1]);
	each(fd, frame, len); /* warm */
	whole = each(fd, frame, len);
	frame[ETH_ALEN - 1] ^= 0x55;
	other = each(fd, frame, len);
	printf("%lu %lu\n", whole, other);
	return 0;
}

int main(int argc, char **argv)
{
	if (argc == 2 && !strcmp(argv[1], "counts"))
		return counts();
	if (argc == 3 && !strcmp(argv[1], "sas"))
		return !xfrm_add(nl_open(NETLINK_XFRM), 0, atoi(argv[2]));
	if (argc == 8 && !strcmp(argv[1], "keep"))
		return keep(argv + 2);
	if (argc == 4 && !strcmp(argv[1], "replay"))
		return replay(argv + 2);
	fprintf(stderr, "usage: see the head of bench-gate.c\n");
	return 2;
}
