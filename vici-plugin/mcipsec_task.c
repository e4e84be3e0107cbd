/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * mcipsec_task: see mcipsec_task.h.
 *
 * charon initiates nothing while the active queue of an IKE_SA holds a task that
 * no exchange belongs to. The placeholder gets there by the way of an ordinary
 * task whose message is then withdrawn, which charon supports.
 */

#include "mcipsec_task.h"

#include <math.h>

#include <daemon.h>
#include <encoding/payloads/delete_payload.h>

/** What charon uses if nothing is configured */
#define TRIES		5
#define TIMEOUT		4.0
#define BASE		1.8

typedef struct placeholder_t placeholder_t;
typedef struct spi_delete_t spi_delete_t;

/**
 * Keeps charon from initiating while an answer is missing
 */
struct placeholder_t {

	/**
	 * Implements task_t.
	 */
	task_t task;

	/**
	 * What it waits for
	 */
	mcipsec_wait_t wait;
};

/**
 * Deletes a CHILD_SA that exists at the peer only
 */
struct spi_delete_t {

	/**
	 * Implements task_t.
	 */
	task_t task;

	/**
	 * Of the peer
	 */
	ike_sa_t *ike_sa;

	/**
	 * Our inbound SPI
	 */
	protocol_id_t protocol;
	uint32_t spi;
};

METHOD(task_t, placeholder_build, status_t,
	placeholder_t *this, message_t *message)
{
	/* withdraw the message, but stay active */
	message->set_exchange_type(message, EXCHANGE_TYPE_UNDEFINED);
	return NEED_MORE;
}

METHOD(task_t, placeholder_process, status_t,
	placeholder_t *this, message_t *message)
{
	return NEED_MORE;
}

METHOD(task_t, placeholder_type, task_type_t,
	placeholder_t *this)
{
	/* activated early in an established IKE_SA, never reinitiated */
	return TASK_IKE_REDIRECT;
}

METHOD(task_t, task_migrate, void,
	task_t *this, ike_sa_t *ike_sa)
{
}

METHOD(task_t, placeholder_destroy, void,
	placeholder_t *this)
{
	free(this);
}

/*
 * Described in header
 */
task_t *mcipsec_placeholder_create(mcipsec_wait_t wait)
{
	placeholder_t *this;

	INIT(this,
		.task = {
			.build = _placeholder_build,
			.process = _placeholder_process,
			.get_type = _placeholder_type,
			.migrate = _task_migrate,
			.destroy = _placeholder_destroy,
		},
		.wait = wait,
	);
	return &this->task;
}

METHOD(task_t, spi_delete_build, status_t,
	spi_delete_t *this, message_t *message)
{
	delete_payload_t *payload;

	if (this->ike_sa->get_child_sa(this->ike_sa, this->protocol, this->spi, TRUE))
	{	/* it exists here, too, by now */
		message->set_exchange_type(message, EXCHANGE_TYPE_UNDEFINED);
		return SUCCESS;
	}
	payload = delete_payload_create(PLV2_DELETE, this->protocol);
	payload->add_spi(payload, this->spi);
	message->add_payload(message, (payload_t*)payload);
	return NEED_MORE;
}

METHOD(task_t, spi_delete_process, status_t,
	spi_delete_t *this, message_t *message)
{
	return SUCCESS;
}

METHOD(task_t, spi_delete_type, task_type_t,
	spi_delete_t *this)
{
	return TASK_CHILD_DELETE;
}

METHOD(task_t, spi_delete_migrate, void,
	spi_delete_t *this, ike_sa_t *ike_sa)
{
	this->ike_sa = ike_sa;
}

METHOD(task_t, spi_delete_destroy, void,
	spi_delete_t *this)
{
	free(this);
}

/*
 * Described in header
 */
task_t *mcipsec_spi_delete_create(ike_sa_t *ike_sa, protocol_id_t protocol,
								  uint32_t spi)
{
	spi_delete_t *this;

	INIT(this,
		.task = {
			.build = _spi_delete_build,
			.process = _spi_delete_process,
			.get_type = _spi_delete_type,
			.migrate = _spi_delete_migrate,
			.destroy = _spi_delete_destroy,
		},
		.ike_sa = ike_sa,
		.protocol = protocol,
		.spi = spi,
	);
	return &this->task;
}

/*
 * Described in header
 */
bool mcipsec_placeholder_find(ike_sa_t *ike_sa, mcipsec_wait_t wait,
							  bool remove)
{
	enumerator_t *enumerator;
	bool found = FALSE;
	task_t *task;

	enumerator = ike_sa->create_task_enumerator(ike_sa, TASK_QUEUE_ACTIVE);
	while (enumerator->enumerate(enumerator, &task))
	{
		if (task->destroy == (void*)_placeholder_destroy &&
			((placeholder_t*)task)->wait == wait)
		{
			found = TRUE;
			if (remove)
			{
				ike_sa->remove_task(ike_sa, enumerator);
				task->destroy(task);
			}
			break;
		}
	}
	enumerator->destroy(enumerator);
	return found;
}

/*
 * Described in header
 */
bool mcipsec_task_active(ike_sa_t *ike_sa)
{
	enumerator_t *enumerator;
	task_t *task;
	bool found;

	enumerator = ike_sa->create_task_enumerator(ike_sa, TASK_QUEUE_ACTIVE);
	found = enumerator->enumerate(enumerator, &task);
	enumerator->destroy(enumerator);
	return found;
}

/*
 * Described in header
 */
void mcipsec_placeholder_remove(ike_sa_t *ike_sa)
{
	task_queue_t queues[] = { TASK_QUEUE_ACTIVE, TASK_QUEUE_QUEUED };
	enumerator_t *enumerator;
	task_t *task;
	int i;

	for (i = 0; i < countof(queues); i++)
	{
		enumerator = ike_sa->create_task_enumerator(ike_sa, queues[i]);
		while (enumerator->enumerate(enumerator, &task))
		{
			if (task->destroy == (void*)_placeholder_destroy)
			{
				ike_sa->remove_task(ike_sa, enumerator);
				task->destroy(task);
			}
		}
		enumerator->destroy(enumerator);
	}
}

/*
 * Described in header
 */
uint32_t mcipsec_retransmit_interval(u_int tries)
{
	double timeout, base;

	if (tries > lib->settings->get_int(lib->settings, "%s.retransmit_tries",
									   TRIES, lib->ns))
	{
		return 0;
	}
	timeout = lib->settings->get_double(lib->settings, "%s.retransmit_timeout",
										TIMEOUT, lib->ns);
	base = lib->settings->get_double(lib->settings, "%s.retransmit_base",
									 BASE, lib->ns);
	return timeout * 1000.0 * pow(base, tries);
}
