// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * mcipsec-trackd - routes and VRRP priorities fall with their tunnel-group,
 * also when the agent is dead or stopped.
 *
 * The gate of the kernel module closes by itself when the agent's lease runs
 * out. This daemon makes what attracts traffic follow: it reads the plan that
 * the agent left in <run-dir>/fence.plan (Documentation/fence-plan.rst) and
 * asks the module, never the agent.
 *
 * Events only say "look again": module events, a family that comes or goes, a
 * new plan, a lost message (ENOBUFS) and one second without any of them all
 * lead to the same round, so nothing that is lost stays lost.
 *
 * Single-threaded; one poll loop; memory is allocated for a new plan only.
 */
#include <errno.h>
#include <getopt.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <libmnl/libmnl.h>
#include <linux/genetlink.h>

#include "fence.h"
#include "log.h"
#include "notify.h"

#define RUN_DIR		"/run/mcipsec"
#define ROUND_MS	1000
#define ANSWER_MS	1000

struct daemon {
	struct fence fence;
	const char *run_dir;
	char plan_path[PLAN_PATH_MAX + 1];
	struct stat plan_seen;		/* identity of the file last looked at */
	int plan_err;			/* last one logged */
	struct mnl_socket *events;
	uint32_t joined;		/* multicast group of the module */
	int inotify;
	int watch;			/* of run_dir, -1: it is not there yet */
};

static bool same_file(const struct stat *a, const struct stat *b)
{
	return a->st_ino == b->st_ino && a->st_dev == b->st_dev &&
	       a->st_size == b->st_size &&
	       a->st_mtim.tv_sec == b->st_mtim.tv_sec &&
	       a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

/* Take over a plan that is new. One that is gone or refused changes nothing. */
static int refresh_plan(struct daemon *d)
{
	struct stat now;
	int err = 0;

	if (stat(d->plan_path, &now)) {
		err = -errno;
	} else if (!same_file(&now, &d->plan_seen)) {
		d->plan_seen = now;
		err = plan_load(&d->fence.plan, d->plan_path);
		if (!err) {
			fence_plan_changed(&d->fence);
			log_info("plan: %zu group(s), %zu track file(s), %zu route(s)",
				 d->fence.plan.n_groups, d->fence.plan.n_tracks,
				 d->fence.plan.n_routes);
		}
	} else {
		return d->plan_err == -EINVAL ? -EINVAL : 0;
	}
	if (err && err != -EINVAL && err != d->plan_err)
		log_info("%s: %s%s", d->plan_path,
			 err == -ENOENT ? "not there yet, mcipsecd writes it" : strerror(-err),
			 d->fence.plan.n_groups ? "; the last plan stays in force" : "");
	d->plan_err = err;
	return err == -ENOENT ? 0 : err;
}

static int one_round(struct daemon *d)
{
	int plan_err = refresh_plan(d);
	int err = fence_round(&d->fence);

	return err ? err : plan_err;
}

/* The module's family gets a new multicast id each time it is loaded. */
static void join_events(struct daemon *d)
{
	if (!d->fence.module.family && module_resolve(&d->fence.module))
		return;
	if (d->fence.module.events == d->joined)
		return;
	if (mnl_socket_setsockopt(d->events, NETLINK_ADD_MEMBERSHIP,
				  &d->fence.module.events, sizeof(uint32_t)) < 0) {
		log_warn("module events: %s; polling once a second", strerror(errno));
		return;
	}
	d->joined = d->fence.module.events;
}

static void watch_run_dir(struct daemon *d)
{
	if (d->watch < 0)
		d->watch = inotify_add_watch(d->inotify, d->run_dir,
					     IN_MOVED_TO | IN_CLOSE_WRITE | IN_ONLYDIR);
}

/* Empty the event socket. A message of the controller: ids have changed. */
static void drain_events(struct daemon *d)
{
	char buf[8192];
	ssize_t len;

	for (;;) {
		len = recv(mnl_socket_get_fd(d->events), buf, sizeof(buf),
			   MSG_DONTWAIT);
		if (len < 0 && errno == ENOBUFS) {
			log_warn("module events were lost, reading the state anew");
			d->fence.module.family = 0;
			continue;
		}
		if (len < 0 && errno == EINTR)
			continue;
		if (len <= 0)
			return;
		if (len >= (ssize_t)sizeof(struct nlmsghdr) &&
		    ((struct nlmsghdr *)buf)->nlmsg_type == GENL_ID_CTRL)
			d->fence.module.family = 0;
	}
}

static void drain_inotify(struct daemon *d)
{
	char buf[4096] __attribute__((aligned(__alignof__(struct inotify_event))));
	ssize_t len;

	while ((len = read(d->inotify, buf, sizeof(buf))) > 0) {
		for (ssize_t at = 0; at < len; ) {
			const struct inotify_event *ev = (void *)(buf + at);

			if (ev->mask & IN_IGNORED && ev->wd == d->watch)
				d->watch = -1;	/* run_dir was removed */
			at += (ssize_t)(sizeof(*ev) + ev->len);
		}
	}
}

static int open_events(struct daemon *d)
{
	int ctrl = GENL_ID_CTRL;	/* its group "notify" has this fixed id */

	d->events = mnl_socket_open2(NETLINK_GENERIC, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (!d->events ||
	    mnl_socket_bind(d->events, 0, MNL_SOCKET_AUTOPID) < 0 ||
	    mnl_socket_setsockopt(d->events, NETLINK_ADD_MEMBERSHIP, &ctrl,
				  sizeof(ctrl)) < 0)
		return -errno;
	return 0;
}

static int serve(struct daemon *d)
{
	struct pollfd pfd[3];
	sigset_t stop;
	int signals, err;

	sigemptyset(&stop);
	sigaddset(&stop, SIGTERM);
	sigaddset(&stop, SIGINT);
	sigprocmask(SIG_BLOCK, &stop, NULL);
	signals = signalfd(-1, &stop, SFD_CLOEXEC);
	d->inotify = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	err = open_events(d);
	if (err || signals < 0 || d->inotify < 0) {
		log_err("start: %s", strerror(err ? -err : errno));
		return EXIT_FAILURE;
	}
	if (mlockall(MCL_CURRENT | MCL_FUTURE))
		log_info("memory is not locked: %s", strerror(errno));

	pfd[0] = (struct pollfd){ .fd = signals, .events = POLLIN };
	pfd[1] = (struct pollfd){ .fd = mnl_socket_get_fd(d->events), .events = POLLIN };
	pfd[2] = (struct pollfd){ .fd = d->inotify, .events = POLLIN };
	watch_run_dir(d);
	join_events(d);
	one_round(d);
	notify("READY=1");
	for (;;) {
		if (poll(pfd, 3, ROUND_MS) < 0 && errno != EINTR) {
			log_err("poll: %s", strerror(errno));
			return EXIT_FAILURE;
		}
		if (pfd[0].revents)
			break;
		drain_events(d);
		drain_inotify(d);
		watch_run_dir(d);
		join_events(d);
		one_round(d);
		notify("WATCHDOG=1");
	}
	notify("STOPPING=1");
	return EXIT_SUCCESS;
}

static int usage(FILE *to, int status)
{
	fputs("usage: mcipsec-trackd [-f] [-1] [-d RUN-DIR]\n"
	      "\n"
	      "Makes routes and keepalived track files of a tunnel-group fall when the\n"
	      "kernel's lease of the agent has run out.\n"
	      "\n"
	      "  -d, --run-dir DIR  where the agent leaves fence.plan (" RUN_DIR ")\n"
	      "  -f, --foreground   stay in the foreground\n"
	      "  -1, --once         one round, then exit: 0 done, 1 something failed\n"
	      "  -h, --help         this text\n", to);
	return status;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "run-dir", required_argument, NULL, 'd' },
		{ "foreground", no_argument, NULL, 'f' },
		{ "once", no_argument, NULL, '1' },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 }
	};
	static struct daemon d = { .run_dir = RUN_DIR, .watch = -1 };
	bool foreground = false, once = false;
	int opt, err, len;

	while ((opt = getopt_long(argc, argv, "d:f1h", options, NULL)) != -1) {
		switch (opt) {
		case 'd':
			d.run_dir = optarg;
			break;
		case 'f':
			foreground = true;
			break;
		case '1':
			once = true;
			break;
		case 'h':
			return usage(stdout, 0);
		default:
			return usage(stderr, 2);
		}
	}
	if (optind != argc || d.run_dir[0] != '/')
		return usage(stderr, 2);
	len = snprintf(d.plan_path, sizeof(d.plan_path), "%s/" PLAN_FILE, d.run_dir);
	if (len < 0 || (size_t)len >= sizeof(d.plan_path))
		return usage(stderr, 2);

	err = module_open(&d.fence.module, ANSWER_MS);
	if (err) {
		log_err("netlink: %s", strerror(-err));
		return EXIT_FAILURE;
	}
	if (once)
		return one_round(&d) ? EXIT_FAILURE : EXIT_SUCCESS;
	if (!foreground && daemon(0, 1)) {
		log_err("daemon: %s", strerror(errno));
		return EXIT_FAILURE;
	}
	return serve(&d);
}
