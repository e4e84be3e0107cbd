/* SPDX-License-Identifier: GPL-2.0-or-later */
/**
 * @defgroup mcipsec_table mcipsec_table
 * @{ @ingroup mcipsec
 *
 * What the plugin remembers: tunnel-groups, and for each IKE_SA and CHILD_SA on
 * a group address what charon itself does not keep (key derivation input, keys,
 * record versions, synced packets).
 *
 * One recursive lock covers everything reachable from here. It is taken inside
 * charon's bus lock (listener hooks), so nothing that reaches the bus may be
 * called while it is held: no state changes of an IKE_SA or CHILD_SA, no
 * checkout, no checkin. Entries may be used only while it is held.
 */

#ifndef MCIPSEC_TABLE_H_
#define MCIPSEC_TABLE_H_

#include <daemon.h>
#include <collections/array.h>
#include <collections/hashtable.h>
#include <collections/linked_list.h>
#include <threading/mutex.h>

#include "mcipsec_times.h"

#define MCIPSEC_KEY_IKE		16
#define MCIPSEC_KEY_CHILD	5
#define MCIPSEC_LINEAGE		8

typedef struct mcipsec_table_t mcipsec_table_t;
typedef struct mcipsec_group_entry_t mcipsec_group_entry_t;
typedef struct mcipsec_ike_entry_t mcipsec_ike_entry_t;
typedef struct mcipsec_child_entry_t mcipsec_child_entry_t;
typedef struct mcipsec_held_t mcipsec_held_t;

/**
 * What a tunnel-group may do
 */
typedef enum {
	MCIPSEC_CLOSED,
	MCIPSEC_PASSIVE,
	MCIPSEC_ACTIVE,
} mcipsec_group_state_t;

/**
 * Names of the states, as in commands
 */
extern enum_name_t *mcipsec_group_state_names;

/**
 * When peers are asked for the message ids, RFC 6311
 */
typedef enum {
	MCIPSEC_SYNC_NO,
	MCIPSEC_SYNC_NEEDED,
	MCIPSEC_SYNC_ALWAYS,
} mcipsec_sync_t;

/**
 * Names of these, as in commands
 */
extern enum_name_t *mcipsec_sync_names;

/**
 * Which virtual addresses may be handed out: while both chassis may do so and do
 * not hear each other, each has its own
 */
typedef enum {
	MCIPSEC_SHARE_ALL,
	MCIPSEC_SHARE_EVEN,
	MCIPSEC_SHARE_ODD,
} mcipsec_share_t;

/**
 * Names of these, as in commands
 */
extern enum_name_t *mcipsec_share_names;

/**
 * A tunnel-group
 */
struct mcipsec_group_entry_t {

	/** number of the tunnel-group, 0 is never used */
	uint32_t id;

	/** state; packets leave in MCIPSEC_ACTIVE only */
	mcipsec_group_state_t state;

	/** removed by command: blocks its addresses, not listed any more */
	bool removed;

	/** entries are being purged: nothing is announced */
	bool quiet;

	/** output commit wanted? */
	bool commit;

	/** limit of output commit, ms */
	u_int commit_limit;

	/** no IKE_SA is begun from here */
	bool responder_only;

	/** when to synchronise message ids */
	mcipsec_sync_t sync;

	/** virtual addresses that may be handed out now */
	mcipsec_share_t share;

	/** local gateway addresses, host_t */
	linked_list_t *addresses;

	/** connection names, char*; empty: any */
	linked_list_t *connections;

	/** number of the last delete record of an entry that left the table */
	uint64_t gone;

	/** last number acknowledged for this group; counts if it is more than that
	 *  for all groups */
	uint64_t acked;

	/** packets held now; how long those were that left */
	u_int held;
	mcipsec_times_t held_times;

	/** last time mcipsec-held-expired was raised, and expired ones since */
	timeval_t expired_raised;
	u_int expired_count;

	/** counters, see mcipsec-status */
	struct {
		uint64_t sent, blocked, not_begun, held_total, held_expired, records;
		uint64_t imported, updated, stale, failed, deleted, purged, resent;
		uint64_t synced, sync_failed, followed;
	} n;

	/** entries whose last import answered await-conf, by key in hex */
	hashtable_t *await;
};

/**
 * A packet waiting for an acknowledgement
 */
struct mcipsec_held_t {

	/** the packet, owned */
	packet_t *packet;

	/** sequence number of the record it waits for; for what no acknowledgement
	 *  can say it waits until the deadline in any case */
	uint64_t need;
	bool unfit;

	/** since when; when it leaves anyway */
	timeval_t since, deadline;
};

/**
 * What is remembered of an IKE_SA
 */
struct mcipsec_ike_entry_t {

	/** initiator SPI, responder SPI */
	uint8_t key[MCIPSEC_KEY_IKE];

	/** are we the initiator of the exchange that made it? */
	bool initiator;

	/** tunnel-group */
	uint32_t group;

	/** announced, or imported */
	bool published;

	/** end announced, waiting for charon to destroy the IKE_SA */
	bool deleted;

	/** timers have to be scheduled by activation (imported or changed) */
	bool need_timers;

	/** see documentation of the record */
	uint8_t lineage[MCIPSEC_LINEAGE];
	uint64_t version;

	/** version that was imported, 0 if the state is our own: what this chassis
	 *  announced does not count against what the chassis after it announces */
	uint64_t imported;

	/** sequence number of the last record of it or of a child */
	uint64_t seq;

	/** sequence number of its own last record */
	uint64_t own_seq;

	/** digest of what was last announced, 0 if nothing */
	uint64_t digest;

	/** no record holds it or one of its children: no acknowledgement of the
	 *  standby means that it has them */
	bool unfit;

	/** key derivation input */
	chunk_t nonce_i, nonce_r, secret;

	/** the keys depend on further key exchanges, RFC 9370 */
	bool more_kes;

	/** identity of a postquantum pre-shared key, if the peers agreed on one */
	chunk_t ppk_id;

	/** of an IKE_SA that replaced another one: its SPIs, SK_d, PRF */
	bool rekeyed;
	uint8_t old_key[MCIPSEC_KEY_IKE];
	chunk_t old_skd;
	uint16_t old_prf;

	/** state to take the IKE_SA up in, mcipsec_ike_state_t */
	uint8_t state;

	/** last response (packets as chunk_t*), and the message id it answers */
	array_t *response;
	uint32_t response_mid;

	/** charon does not have the response itself: repeat it when asked */
	bool response_imported;

	/** own request in flight (packets as chunk_t*), type, proposed SPI */
	array_t *request;
	uint32_t request_mid;
	uint8_t request_type;
	uint8_t request_proto;
	uint32_t request_spi;

	/** the request was imported: repeat it at activation */
	bool request_imported;

	/** CHILD_SA that an own request proposed without an answer so far: the first
	 *  one with that message id, of which the peer would repeat the answer */
	uint32_t proposed_mid;
	uint8_t proposed_proto;
	uint32_t proposed_spi;

	/** virtual addresses that the peer has, host_t, NULL if none; who it is and
	 *  where, set with them */
	linked_list_t *vips;
	identification_t *vip_owner;
	host_t *vip_host;

	/** the peer speaks RFC 6311 */
	bool peer_syncs;

	/** message ids came from another chassis, and no message of the peer has
	 *  shown yet that they are right */
	bool doubt_in, doubt_out;

	/** the peer was asked for the message ids: our next id before, the one we
	 *  proposed (0 if it was not asked), the nonce, how often, the packet; due: it
	 *  is about to be asked */
	struct {
		uint32_t old, proposed, nonce;
		bool due;
		u_int tries;
		array_t *packets;
	} sync;

	/** held packets, mcipsec_held_t, in order */
	linked_list_t *held;

	/** an export job is queued */
	bool dirty;
};

/**
 * What is remembered of a CHILD_SA
 */
struct mcipsec_child_entry_t {

	/** inbound SPI in network order, protocol */
	uint8_t key[MCIPSEC_KEY_CHILD];

	/** tunnel-group */
	uint32_t group;

	/** key of the IKE_SA */
	uint8_t parent[MCIPSEC_KEY_IKE];

	/** announced, or imported */
	bool published;

	/** timers have to be scheduled by activation */
	bool need_timers;

	/** see documentation of the record, and of the IKE_SA's */
	uint64_t version;
	uint64_t imported;
	uint64_t own_seq;
	uint64_t digest;

	/** role in the exchange that made it */
	bool initiator;

	/** keys */
	chunk_t encr_i, encr_r, integ_i, integ_r;

	/** state to take the CHILD_SA up in, mcipsec_child_state_t */
	uint8_t state;

	/** of an imported one: outbound SPI of the one that replaces it, 0 if none */
	uint32_t rekey_spi;

	/** of an imported one: its outbound half is to go */
	bool no_outbound;

	/** of an imported one: monotonic times of installation, rekeying, end; 0
	 *  if there is none; installed is 0 for one made here */
	time_t installed, rekey, expire;
};

/**
 * The table.
 */
struct mcipsec_table_t {

	/** the lock, recursive */
	mutex_t *lock;

	/** drawn at start */
	uint64_t epoch;

	/** last sequence number given, last one acknowledged for all groups */
	uint64_t seq, acked;

	/** gate: no group known yet; and whether more groups are announced */
	bool closed, more;

	/** charon is stopping: nothing leaves, nothing is announced */
	bool stopping;

	/** packets blocked that belong to no group */
	uint64_t blocked;

	/** mcipsec_ike_entry_t with held packets */
	linked_list_t *waiting;

	/**
	 * Find a group, optionally create it.
	 *
	 * @return			group, NULL if not found
	 */
	mcipsec_group_entry_t *(*get_group)(mcipsec_table_t *this, uint32_t id,
										bool create);

	/**
	 * Find the group that owns a local address, NULL if none does.
	 */
	mcipsec_group_entry_t *(*group_of)(mcipsec_table_t *this, host_t *local);

	/**
	 * Does any group have another state than active?
	 */
	bool (*any_inactive)(mcipsec_table_t *this);

	/**
	 * Enumerator over mcipsec_group_entry_t*.
	 */
	enumerator_t *(*create_group_enumerator)(mcipsec_table_t *this);

	/**
	 * Find an IKE_SA by key, optionally create it.
	 */
	mcipsec_ike_entry_t *(*get_ike)(mcipsec_table_t *this,
						const uint8_t key[MCIPSEC_KEY_IKE], bool create);

	/**
	 * Remove an IKE_SA and wipe what is known; its held packets are dropped.
	 * The enumerator of create_ike_enumerator() must not be in use.
	 */
	void (*remove_ike)(mcipsec_table_t *this, mcipsec_ike_entry_t *entry);

	/**
	 * Find a CHILD_SA by group and key, optionally create it.
	 */
	mcipsec_child_entry_t *(*get_child)(mcipsec_table_t *this, uint32_t group,
						const uint8_t key[MCIPSEC_KEY_CHILD], bool create);

	/**
	 * Remove a CHILD_SA and wipe what is known.
	 */
	void (*remove_child)(mcipsec_table_t *this, mcipsec_child_entry_t *entry);

	/**
	 * Enumerators over the entries, mcipsec_ike_entry_t* and
	 * mcipsec_child_entry_t*. Do not remove while enumerating.
	 */
	enumerator_t *(*create_ike_enumerator)(mcipsec_table_t *this);
	enumerator_t *(*create_child_enumerator)(mcipsec_table_t *this);

	/**
	 * Wipe and free everything.
	 */
	void (*destroy)(mcipsec_table_t *this);
};

/**
 * Create the table, NULL if there is no randomness.
 */
mcipsec_table_t *mcipsec_table_create();

/**
 * Key of an IKE_SA.
 */
void mcipsec_ike_key(ike_sa_id_t *id, uint8_t key[MCIPSEC_KEY_IKE]);

/**
 * IKE_SA identifier of a key, owned by the caller.
 */
ike_sa_id_t *mcipsec_ike_id(const uint8_t key[MCIPSEC_KEY_IKE], bool initiator);

/**
 * Check out the IKE_SA of a key, NULL if there is none. The lock must not be
 * held.
 */
ike_sa_t *mcipsec_ike_checkout(mcipsec_table_t *table,
							   const uint8_t key[MCIPSEC_KEY_IKE]);

/**
 * Key of a CHILD_SA.
 */
void mcipsec_child_key(protocol_id_t protocol, uint32_t spi_in,
					   uint8_t key[MCIPSEC_KEY_CHILD]);

/**
 * Does a group replicate this connection?
 */
bool mcipsec_group_replicates(mcipsec_group_entry_t *group, char *connection);

/**
 * Does another group than this one own one of these addresses? Lock held.
 *
 * @return			that address, NULL if none
 */
host_t *mcipsec_address_owned(mcipsec_table_t *table, uint32_t id,
							  linked_list_t *addresses);

/**
 * Take addresses away from groups that were removed. Lock held.
 */
void mcipsec_address_take(mcipsec_table_t *table, uint32_t id,
						  linked_list_t *addresses);

/**
 * Count the entries of a group. Lock held.
 */
void mcipsec_count_entries(mcipsec_table_t *table, uint32_t id, u_int *ike,
						   u_int *child);

/**
 * Replace a list of packets (chunk_t*) by copies; wiped when cleared.
 */
void mcipsec_packets_clear(array_t **packets);
void mcipsec_packets_add(array_t **packets, chunk_t data);

/**
 * Destroy a held packet.
 */
void mcipsec_held_destroy(mcipsec_held_t *held);

#endif /** MCIPSEC_TABLE_H_ @}*/
