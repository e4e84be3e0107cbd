/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * mcipsec_record: the versioned record of one IKE_SA or one CHILD_SA.
 *
 * Drawn and described in Documentation/vici-mcipsec.rst, section "The blob".
 *
 * Pure: needs neither charon nor libstrongswan, keeps no state, takes no lock.
 * A decoded record points into the bytes it was decoded from and must not
 * outlive them. Decoding is bounds checked, skips unknown field types and
 * refuses truncated fields, wrong lengths and records without a required field.
 * Encoded bytes hold key material: free them with mcipsec_buf_wipe() only.
 */
#ifndef MCIPSEC_RECORD_H_
#define MCIPSEC_RECORD_H_

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MCIPSEC_RECORD_MAJOR	1
#define MCIPSEC_RECORD_MINOR	0

/** Elements of a repeated field (packets, addresses, selectors) at most */
#define MCIPSEC_LIST_MAX		64

/** Longest record, bytes: what a value of a VICI message can have */
#define MCIPSEC_RECORD_MAX		UINT16_MAX

/** Times that are not set: no rekey, no lifetime */
#define MCIPSEC_NEVER			UINT32_MAX

typedef enum {
	MCIPSEC_KIND_IKE = 1,
	MCIPSEC_KIND_CHILD = 2,
} mcipsec_kind_t;

/** Reference to bytes owned by somebody else */
typedef struct {
	const uint8_t *ptr;
	size_t len;
} mcipsec_bytes_t;

/** List of such references */
typedef struct {
	mcipsec_bytes_t items[MCIPSEC_LIST_MAX];
	size_t count;
	bool overflow;		/* something did not fit: no record can be made of it */
} mcipsec_list_t;

/** Owned, wiped bytes */
typedef struct {
	uint8_t *ptr;
	size_t len;
	size_t size;
	bool failed;
} mcipsec_buf_t;

/** Address and port, IPv4 or IPv6 */
typedef struct {
	uint8_t addr[16];
	uint8_t addr_len;
	uint16_t port;
} mcipsec_endpoint_t;

/** State an IKE_SA is taken up in after a takeover */
typedef enum {
	MCIPSEC_IKE_ESTABLISHED = 1,
	MCIPSEC_IKE_REKEYED = 2,
	MCIPSEC_IKE_DELETING = 3,
} mcipsec_ike_state_t;

/** One IKE_SA */
typedef struct {
	/* identity */
	mcipsec_bytes_t spi_i, spi_r;
	bool initiator;
	uint8_t state;
	/* key derivation input, RFC 7296 section 2.14; of a rekey section 2.18 */
	mcipsec_bytes_t nonce_i, nonce_r, secret;
	bool rekeyed;
	mcipsec_bytes_t old_spi_i, old_spi_r, old_skd;
	uint16_t old_prf;
	uint16_t encr, encr_len, integ, prf, ke;
	/* message ids: next expected from the peer, next of our own */
	uint32_t mid_in, mid_out;
	/* encrypted packets: last response, request in flight */
	mcipsec_list_t response, request;
	uint8_t request_type;
	uint8_t request_proto;
	uint32_t request_spi;
	/* peer and flags */
	mcipsec_endpoint_t local, remote;
	mcipsec_bytes_t local_id, remote_id, eap_id;
	/* identity of the postquantum pre-shared key that SK_d depends on */
	mcipsec_bytes_t ppk_id;
	uint64_t extensions, conditions;
	mcipsec_list_t local_vips, remote_vips, peer_addresses;
	/* seconds: age, and left until; MCIPSEC_NEVER if not set */
	uint32_t age, rekey, reauth, lifetime;
} mcipsec_ike_record_t;

/** State a CHILD_SA is taken up in after a takeover */
typedef enum {
	MCIPSEC_CHILD_INSTALLED = 1,
	MCIPSEC_CHILD_REKEYED = 2,
	MCIPSEC_CHILD_DELETING = 3,
} mcipsec_child_state_t;

/** Outbound half: in use; known, but not installed until the peer deletes the
 * SA it replaces (we answered a rekey); removed as a newer SA is in use */
typedef enum {
	MCIPSEC_OUTBOUND_INSTALLED = 0,
	MCIPSEC_OUTBOUND_REGISTERED = 1,
	MCIPSEC_OUTBOUND_REMOVED = 2,
} mcipsec_outbound_t;

/** One CHILD_SA */
typedef struct {
	uint8_t protocol, mode, ipcomp, state;
	bool encap, initiator;
	uint8_t outbound;
	uint32_t spi_in, spi_out, rekey_spi;
	uint16_t cpi_in, cpi_out;
	uint16_t encr, encr_len, integ, ke, esn;
	mcipsec_bytes_t encr_i, encr_r, integ_i, integ_r;
	uint32_t mark_in, mark_in_mask, mark_out, mark_out_mask;
	uint32_t if_id_in, if_id_out;
	mcipsec_list_t local_ts, remote_ts;
	/* key exchanges that a rekey may have, 16 bits each; 0 for none at all */
	mcipsec_bytes_t kes;
	uint32_t age, rekey, lifetime;
} mcipsec_child_record_t;

/** Why a record was refused */
typedef enum {
	MCIPSEC_RECORD_OK = 0,
	MCIPSEC_RECORD_TRUNCATED,
	MCIPSEC_RECORD_MAGIC,
	MCIPSEC_RECORD_VERSION,
	MCIPSEC_RECORD_KIND,
	MCIPSEC_RECORD_LENGTH,
	MCIPSEC_RECORD_TOO_MANY,
	MCIPSEC_RECORD_MISSING,
} mcipsec_record_status_t;

/** Readable text of a status */
const char *mcipsec_record_status_text(mcipsec_record_status_t status);

/** Overwrite and free the bytes of a buffer */
void mcipsec_buf_wipe(mcipsec_buf_t *buf);

/** Append to a list; false, and overflow set, if it is full */
bool mcipsec_list_add(mcipsec_list_t *list, const void *ptr, size_t len);

/**
 * Encode a record.
 *
 * The volatile fields (times) come last; static_len, if given, receives the
 * length of what precedes them, so that a caller can tell by digest whether
 * anything but the clock changed.
 *
 * @return	owned buffer; failed is set (and ptr NULL) if memory ran out, a value
 *			does not fit its field or a list, or the record is longer than
 *			MCIPSEC_RECORD_MAX
 */
mcipsec_buf_t mcipsec_ike_record_encode(const mcipsec_ike_record_t *record,
										size_t *static_len);
mcipsec_buf_t mcipsec_child_record_encode(const mcipsec_child_record_t *record,
										  size_t *static_len);

/**
 * Decode a record. On anything but MCIPSEC_RECORD_OK the content of record is
 * undefined and must not be used.
 */
mcipsec_record_status_t mcipsec_ike_record_decode(const uint8_t *data,
						size_t len, mcipsec_ike_record_t *record);
mcipsec_record_status_t mcipsec_child_record_decode(const uint8_t *data,
						size_t len, mcipsec_child_record_t *record);

#endif /* MCIPSEC_RECORD_H_ */
