/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The record codec: bytes as they are on the wire, every truncation, unknown
 * fields, wrong lengths, missing and repeated fields, bounds.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "mcipsec_record.h"

#define BYTES(str) { (const uint8_t*)(str), sizeof(str) - 1 }

static mcipsec_ike_record_t minimal_ike(void)
{
	return (mcipsec_ike_record_t){
		.spi_i = BYTES("\x01\x02\x03\x04\x05\x06\x07\x08"),
		.spi_r = BYTES("\x11\x12\x13\x14\x15\x16\x17\x18"),
		.state = MCIPSEC_IKE_ESTABLISHED,
		.nonce_i = BYTES("Ni"),
		.nonce_r = BYTES("Nr"),
		.secret = BYTES("g^ir"),
		.encr = 20,
		.prf = 5,
		.ke = 31,
		.mid_in = 2,
		.mid_out = 0,
		.local = { { 10, 0, 0, 1 }, 4, 500 },
		.remote = { { 10, 0, 0, 9 }, 4, 4500 },
		.local_id = BYTES("\x0bgw"),
		.remote_id = BYTES("\x0bpeer"),
		.age = 7,
		.rekey = MCIPSEC_NEVER,
		.reauth = MCIPSEC_NEVER,
		.lifetime = MCIPSEC_NEVER,
	};
}

static mcipsec_child_record_t minimal_child(void)
{
	mcipsec_child_record_t record = {
		.protocol = 3,
		.mode = 2,
		.state = MCIPSEC_CHILD_INSTALLED,
		.spi_in = 0xc0000001,
		.spi_out = 0xc0000002,
		.encr = 20,
		.encr_len = 128,
		.encr_i = BYTES("key i"),
		.encr_r = BYTES("key r"),
		.age = 1,
		.rekey = 3600,
		.lifetime = MCIPSEC_NEVER,
	};

	mcipsec_list_add(&record.local_ts, "local", 5);
	mcipsec_list_add(&record.remote_ts, "remote", 6);
	return record;
}

static void assert_bytes(mcipsec_bytes_t got, mcipsec_bytes_t want)
{
	assert_int_equal(got.len, want.len);
	if (want.len)
	{
		assert_memory_equal(got.ptr, want.ptr, want.len);
	}
}

static void assert_list(const mcipsec_list_t *got, const mcipsec_list_t *want)
{
	size_t i;

	assert_int_equal(got->count, want->count);
	for (i = 0; i < want->count; i++)
	{
		assert_bytes(got->items[i], want->items[i]);
	}
}

static void assert_endpoint(mcipsec_endpoint_t got, mcipsec_endpoint_t want)
{
	assert_int_equal(got.addr_len, want.addr_len);
	assert_int_equal(got.port, want.port);
	assert_memory_equal(got.addr, want.addr, want.addr_len);
}

static void ike_bytes(void **state)
{
	mcipsec_ike_record_t record = minimal_ike();
	mcipsec_buf_t buf;
	size_t static_len = 0;
	/*
	 * 4d43 01 00 0001 0000                   "MC", version 1.0, IKE_SA
	 * 0001 0008 0102030405060708             initiator SPI
	 * 0002 0008 1112131415161718             responder SPI
	 * 0003 0001 00                           we are the responder
	 * 0004 0001 01                           established
	 * 0005 0002 4e69   0006 0002 4e72        nonces
	 * 0007 0004 675e6972                     shared secret
	 * 000d 0002 0014                         AES-GCM-16
	 * 0010 0002 0005   0011 0002 001f        PRF, key exchange
	 * 0012 0004 00000002 0013 0004 00000000  message ids
	 * 0019 0006 01f4 0a000001                local 10.0.0.1[500]
	 * 001a 0006 1194 0a000009                remote 10.0.0.9[4500]
	 * 001b 0003 0b6777 001c 0005 0b70656572  identities
	 * 0080 0004 00000007                     age 7 s
	 */
	static const uint8_t expected[] = {
		0x4d, 0x43, 0x01, 0x00, 0x00, 0x01, 0x00, 0x00,
		0x00, 0x01, 0x00, 0x08, 0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07, 0x08,
		0x00, 0x02, 0x00, 0x08, 0x11, 0x12, 0x13, 0x14, 0x15, 0x16, 0x17, 0x18,
		0x00, 0x03, 0x00, 0x01, 0x00,
		0x00, 0x04, 0x00, 0x01, 0x01,
		0x00, 0x05, 0x00, 0x02, 0x4e, 0x69,
		0x00, 0x06, 0x00, 0x02, 0x4e, 0x72,
		0x00, 0x07, 0x00, 0x04, 0x67, 0x5e, 0x69, 0x72,
		0x00, 0x0d, 0x00, 0x02, 0x00, 0x14,
		0x00, 0x10, 0x00, 0x02, 0x00, 0x05,
		0x00, 0x11, 0x00, 0x02, 0x00, 0x1f,
		0x00, 0x12, 0x00, 0x04, 0x00, 0x00, 0x00, 0x02,
		0x00, 0x13, 0x00, 0x04, 0x00, 0x00, 0x00, 0x00,
		0x00, 0x19, 0x00, 0x06, 0x01, 0xf4, 0x0a, 0x00, 0x00, 0x01,
		0x00, 0x1a, 0x00, 0x06, 0x11, 0x94, 0x0a, 0x00, 0x00, 0x09,
		0x00, 0x1b, 0x00, 0x03, 0x0b, 0x67, 0x77,
		0x00, 0x1c, 0x00, 0x05, 0x0b, 0x70, 0x65, 0x65, 0x72,
		0x00, 0x80, 0x00, 0x04, 0x00, 0x00, 0x00, 0x07,
	};

	(void)state;
	buf = mcipsec_ike_record_encode(&record, &static_len);
	assert_false(buf.failed);
	assert_int_equal(buf.len, sizeof(expected));
	assert_memory_equal(buf.ptr, expected, sizeof(expected));
	assert_int_equal(static_len, sizeof(expected) - 8);
	mcipsec_buf_wipe(&buf);
	assert_null(buf.ptr);
}

static void ike_full(void **state)
{
	mcipsec_ike_record_t record = minimal_ike(), *got;
	mcipsec_buf_t buf;

	(void)state;
	record.initiator = true;
	record.state = MCIPSEC_IKE_REKEYED;
	record.rekeyed = true;
	record.old_spi_i = (mcipsec_bytes_t)BYTES("abcdefgh");
	record.old_spi_r = (mcipsec_bytes_t)BYTES("ABCDEFGH");
	record.old_skd = (mcipsec_bytes_t)BYTES("SK_d of the old one");
	record.old_prf = 7;
	record.encr_len = 256;
	record.integ = 12;
	record.mid_in = UINT32_MAX;
	record.mid_out = 0x01020304;
	mcipsec_list_add(&record.response, "first", 5);
	mcipsec_list_add(&record.response, "second fragment", 15);
	mcipsec_list_add(&record.request, "request", 7);
	record.request_type = 36;
	record.request_proto = 3;
	record.request_spi = 0xcafebabe;
	record.local = (mcipsec_endpoint_t){ { 0x20, 1, 0xd, 0xb8, [15] = 1 }, 16, 500 };
	record.eap_id = (mcipsec_bytes_t)BYTES("\x0b" "eap");
	record.ppk_id = (mcipsec_bytes_t)BYTES("ppk");
	record.extensions = 0x8000000000000001;
	record.conditions = 0x42;
	mcipsec_list_add(&record.remote_vips, "\x0a\x03\x00\x01", 4);
	mcipsec_list_add(&record.local_vips, "\x0a\x03\x00\x02", 4);
	mcipsec_list_add(&record.peer_addresses, "\x0a\x03\x00\x03", 4);
	record.rekey = 0;
	record.reauth = 1;
	record.lifetime = MCIPSEC_NEVER - 1;

	got = calloc(1, sizeof(*got));
	assert_non_null(got);
	buf = mcipsec_ike_record_encode(&record, NULL);
	assert_int_equal(mcipsec_ike_record_decode(buf.ptr, buf.len, got),
					 MCIPSEC_RECORD_OK);
	assert_bytes(got->spi_i, record.spi_i);
	assert_bytes(got->spi_r, record.spi_r);
	assert_true(got->initiator);
	assert_int_equal(got->state, record.state);
	assert_bytes(got->nonce_i, record.nonce_i);
	assert_bytes(got->nonce_r, record.nonce_r);
	assert_bytes(got->secret, record.secret);
	assert_true(got->rekeyed);
	assert_bytes(got->old_spi_i, record.old_spi_i);
	assert_bytes(got->old_spi_r, record.old_spi_r);
	assert_bytes(got->old_skd, record.old_skd);
	assert_int_equal(got->old_prf, record.old_prf);
	assert_int_equal(got->encr, record.encr);
	assert_int_equal(got->encr_len, record.encr_len);
	assert_int_equal(got->integ, record.integ);
	assert_int_equal(got->prf, record.prf);
	assert_int_equal(got->ke, record.ke);
	assert_int_equal(got->mid_in, record.mid_in);
	assert_int_equal(got->mid_out, record.mid_out);
	assert_list(&got->response, &record.response);
	assert_list(&got->request, &record.request);
	assert_int_equal(got->request_type, record.request_type);
	assert_int_equal(got->request_proto, record.request_proto);
	assert_int_equal(got->request_spi, record.request_spi);
	assert_endpoint(got->local, record.local);
	assert_endpoint(got->remote, record.remote);
	assert_bytes(got->local_id, record.local_id);
	assert_bytes(got->remote_id, record.remote_id);
	assert_bytes(got->eap_id, record.eap_id);
	assert_bytes(got->ppk_id, record.ppk_id);
	assert_int_equal(got->extensions, record.extensions);
	assert_int_equal(got->conditions, record.conditions);
	assert_list(&got->local_vips, &record.local_vips);
	assert_list(&got->remote_vips, &record.remote_vips);
	assert_list(&got->peer_addresses, &record.peer_addresses);
	assert_int_equal(got->age, record.age);
	assert_int_equal(got->rekey, record.rekey);
	assert_int_equal(got->reauth, record.reauth);
	assert_int_equal(got->lifetime, record.lifetime);
	mcipsec_buf_wipe(&buf);
	free(got);
}

static void child_full(void **state)
{
	mcipsec_child_record_t record = minimal_child(), *got;
	mcipsec_buf_t buf;

	(void)state;
	record.ipcomp = 2;
	record.state = MCIPSEC_CHILD_REKEYED;
	record.encap = true;
	record.initiator = true;
	record.outbound = MCIPSEC_OUTBOUND_REGISTERED;
	record.rekey_spi = 0xc0000003;
	record.cpi_in = 1;
	record.cpi_out = 2;
	record.integ = 12;
	record.ke = 14;
	record.esn = 1;
	record.integ_i = (mcipsec_bytes_t)BYTES("integ i");
	record.integ_r = (mcipsec_bytes_t)BYTES("integ r");
	record.mark_in = 1;
	record.mark_in_mask = 0xff;
	record.mark_out = 2;
	record.mark_out_mask = UINT32_MAX;
	record.kes = (mcipsec_bytes_t)BYTES("\x1f\x13");
	record.if_id_in = 3;
	record.if_id_out = 4;
	mcipsec_list_add(&record.remote_ts, "another", 7);

	got = calloc(1, sizeof(*got));
	assert_non_null(got);
	buf = mcipsec_child_record_encode(&record, NULL);
	assert_int_equal(mcipsec_child_record_decode(buf.ptr, buf.len, got),
					 MCIPSEC_RECORD_OK);
	assert_int_equal(got->protocol, record.protocol);
	assert_int_equal(got->mode, record.mode);
	assert_int_equal(got->ipcomp, record.ipcomp);
	assert_int_equal(got->state, record.state);
	assert_true(got->encap);
	assert_true(got->initiator);
	assert_int_equal(got->outbound, record.outbound);
	assert_int_equal(got->spi_in, record.spi_in);
	assert_int_equal(got->spi_out, record.spi_out);
	assert_int_equal(got->rekey_spi, record.rekey_spi);
	assert_int_equal(got->cpi_in, record.cpi_in);
	assert_int_equal(got->cpi_out, record.cpi_out);
	assert_int_equal(got->encr, record.encr);
	assert_int_equal(got->encr_len, record.encr_len);
	assert_int_equal(got->integ, record.integ);
	assert_int_equal(got->ke, record.ke);
	assert_int_equal(got->esn, record.esn);
	assert_bytes(got->encr_i, record.encr_i);
	assert_bytes(got->encr_r, record.encr_r);
	assert_bytes(got->integ_i, record.integ_i);
	assert_bytes(got->integ_r, record.integ_r);
	assert_int_equal(got->mark_in, record.mark_in);
	assert_int_equal(got->mark_in_mask, record.mark_in_mask);
	assert_int_equal(got->mark_out, record.mark_out);
	assert_int_equal(got->mark_out_mask, record.mark_out_mask);
	assert_bytes(got->kes, record.kes);
	assert_int_equal(got->if_id_in, record.if_id_in);
	assert_int_equal(got->if_id_out, record.if_id_out);
	assert_list(&got->local_ts, &record.local_ts);
	assert_list(&got->remote_ts, &record.remote_ts);
	assert_int_equal(got->age, record.age);
	assert_int_equal(got->rekey, record.rekey);
	assert_int_equal(got->lifetime, record.lifetime);
	mcipsec_buf_wipe(&buf);
	free(got);
}

/* Every length but the whole one must be refused, reading nothing beyond it:
 * each try is a heap block of exactly that length, under AddressSanitizer. A
 * length that ends between fields lacks only times, which are optional. */
static void truncated(void **state)
{
	mcipsec_ike_record_t ike = minimal_ike(), *got_ike;
	mcipsec_child_record_t child = minimal_child(), *got_child;
	mcipsec_buf_t buf;
	uint8_t *copy;
	size_t len, static_len;

	(void)state;
	got_ike = malloc(sizeof(*got_ike));
	got_child = malloc(sizeof(*got_child));
	assert_non_null(got_ike);
	assert_non_null(got_child);

	buf = mcipsec_ike_record_encode(&ike, &static_len);
	for (len = 0; len < buf.len; len++)
	{
		copy = malloc(len ? len : 1);
		assert_non_null(copy);
		memcpy(copy, buf.ptr, len);
		assert_int_equal(mcipsec_ike_record_decode(copy, len, got_ike) ==
						 MCIPSEC_RECORD_OK, len == static_len);
		free(copy);
	}
	mcipsec_buf_wipe(&buf);

	buf = mcipsec_child_record_encode(&child, &static_len);
	for (len = 0; len < buf.len; len++)
	{
		copy = malloc(len ? len : 1);
		assert_non_null(copy);
		memcpy(copy, buf.ptr, len);
		assert_int_equal(mcipsec_child_record_decode(copy, len, got_child) ==
						 MCIPSEC_RECORD_OK,
						 len == static_len || len == static_len + 8);
		free(copy);
	}
	mcipsec_buf_wipe(&buf);
	free(got_ike);
	free(got_child);
}

/** Append a field to a copy of an encoded record and decode it as a child */
static mcipsec_record_status_t with_field(uint16_t type, const void *value,
										  uint16_t len,
										  mcipsec_child_record_t *got)
{
	mcipsec_child_record_t record = minimal_child();
	mcipsec_record_status_t status;
	mcipsec_buf_t buf;
	uint8_t *copy;

	buf = mcipsec_child_record_encode(&record, NULL);
	copy = malloc(buf.len + 4 + len);
	assert_non_null(copy);
	memcpy(copy, buf.ptr, buf.len);
	copy[buf.len] = type >> 8;
	copy[buf.len + 1] = type;
	copy[buf.len + 2] = len >> 8;
	copy[buf.len + 3] = len;
	memcpy(copy + buf.len + 4, value, len);
	status = mcipsec_child_record_decode(copy, buf.len + 4 + len, got);
	mcipsec_buf_wipe(&buf);
	free(copy);
	return status;
}

static void unknown_fields(void **state)
{
	mcipsec_child_record_t got;

	(void)state;
	/* 0fff 0003 616263: skipped, with or without a value */
	assert_int_equal(with_field(0x0fff, "abc", 3, &got), MCIPSEC_RECORD_OK);
	assert_int_equal(got.spi_in, 0xc0000001);
	assert_int_equal(with_field(0xffff, "", 0, &got), MCIPSEC_RECORD_OK);
	/* 0000 0001 00: type zero is not known either */
	assert_int_equal(with_field(0, "", 1, &got), MCIPSEC_RECORD_OK);
}

static void wrong_lengths(void **state)
{
	mcipsec_child_record_t got;

	(void)state;
	/* 0003 0002 0000: ipcomp is one byte */
	assert_int_equal(with_field(3, "\0\0", 2, &got), MCIPSEC_RECORD_LENGTH);
	/* 000f 0001 00: integ is two bytes */
	assert_int_equal(with_field(15, "\0", 1, &got), MCIPSEC_RECORD_LENGTH);
	/* 0016 0000: mark-in is four bytes */
	assert_int_equal(with_field(22, "", 0, &got), MCIPSEC_RECORD_LENGTH);
	/* 0005 0001 02: encap is 0 or 1 */
	assert_int_equal(with_field(5, "\2", 1, &got), MCIPSEC_RECORD_LENGTH);
	/* 0014 0000: a key is not empty */
	assert_int_equal(with_field(20, "", 0, &got), MCIPSEC_RECORD_LENGTH);
	/* 001c 0000: nor is a selector */
	assert_int_equal(with_field(28, "", 0, &got), MCIPSEC_RECORD_LENGTH);
	/* 0082 0003: a time is four bytes */
	assert_int_equal(with_field(130, "\0\0\0", 3, &got), MCIPSEC_RECORD_LENGTH);
}

static void repeated_fields(void **state)
{
	mcipsec_child_record_t got;

	(void)state;
	/* 0008 0004 ..: a second inbound SPI cannot replace the first */
	assert_int_equal(with_field(8, "\1\2\3\4", 4, &got),
					 MCIPSEC_RECORD_TOO_MANY);
	/* 001c: another selector is fine */
	assert_int_equal(with_field(28, "x", 1, &got), MCIPSEC_RECORD_OK);
	assert_int_equal(got.local_ts.count, 2);
}

static void list_bounds(void **state)
{
	mcipsec_child_record_t record = minimal_child(), *got;
	mcipsec_buf_t buf;
	uint8_t *copy;

	(void)state;
	got = calloc(1, sizeof(*got));
	assert_non_null(got);
	while (record.local_ts.count < MCIPSEC_LIST_MAX)
	{
		assert_true(mcipsec_list_add(&record.local_ts, "x", 1));
	}
	assert_int_equal(record.local_ts.count, MCIPSEC_LIST_MAX);
	buf = mcipsec_child_record_encode(&record, NULL);
	assert_int_equal(mcipsec_child_record_decode(buf.ptr, buf.len, got),
					 MCIPSEC_RECORD_OK);
	assert_int_equal(got->local_ts.count, MCIPSEC_LIST_MAX);

	/* one more of 001c 0001 78 */
	copy = malloc(buf.len + 5);
	assert_non_null(copy);
	memcpy(copy, buf.ptr, buf.len);
	memcpy(copy + buf.len, "\0\x1c\0\1x", 5);
	assert_int_equal(mcipsec_child_record_decode(copy, buf.len + 5, got),
					 MCIPSEC_RECORD_TOO_MANY);
	free(copy);
	mcipsec_buf_wipe(&buf);

	/* it does not fit: no record, rather than one with less */
	assert_false(mcipsec_list_add(&record.local_ts, "x", 1));
	buf = mcipsec_child_record_encode(&record, NULL);
	assert_true(buf.failed);
	assert_null(buf.ptr);
	free(got);
}

static void headers(void **state)
{
	mcipsec_child_record_t record = minimal_child(), *got;
	mcipsec_ike_record_t *ike;
	mcipsec_buf_t buf;

	(void)state;
	got = calloc(1, sizeof(*got));
	ike = calloc(1, sizeof(*ike));
	assert_non_null(got);
	assert_non_null(ike);
	buf = mcipsec_child_record_encode(&record, NULL);

	/* 0002 where 0001 is wanted */
	assert_int_equal(mcipsec_ike_record_decode(buf.ptr, buf.len, ike),
					 MCIPSEC_RECORD_KIND);
	/* minor version 7: readable */
	buf.ptr[3] = 7;
	assert_int_equal(mcipsec_child_record_decode(buf.ptr, buf.len, got),
					 MCIPSEC_RECORD_OK);
	/* major version 2: not */
	buf.ptr[2] = 2;
	assert_int_equal(mcipsec_child_record_decode(buf.ptr, buf.len, got),
					 MCIPSEC_RECORD_VERSION);
	buf.ptr[0] = 'm';
	assert_int_equal(mcipsec_child_record_decode(buf.ptr, buf.len, got),
					 MCIPSEC_RECORD_MAGIC);
	mcipsec_buf_wipe(&buf);
	free(got);
	free(ike);
}

static void missing_fields(void **state)
{
	mcipsec_ike_record_t record, *got;
	mcipsec_buf_t buf;

	(void)state;
	got = calloc(1, sizeof(*got));
	assert_non_null(got);

	record = minimal_ike();
	record.secret.len = 0;
	buf = mcipsec_ike_record_encode(&record, NULL);
	assert_int_equal(mcipsec_ike_record_decode(buf.ptr, buf.len, got),
					 MCIPSEC_RECORD_MISSING);
	mcipsec_buf_wipe(&buf);

	/* rekeyed, but not from what */
	record = minimal_ike();
	record.rekeyed = true;
	buf = mcipsec_ike_record_encode(&record, NULL);
	assert_int_equal(mcipsec_ike_record_decode(buf.ptr, buf.len, got),
					 MCIPSEC_RECORD_MISSING);
	mcipsec_buf_wipe(&buf);
	free(got);
}

static void too_large(void **state)
{
	mcipsec_ike_record_t record = minimal_ike();
	static uint8_t large[UINT16_MAX + 1];
	mcipsec_buf_t buf;

	(void)state;
	/* the length of a field has 16 bits */
	record.remote_id = (mcipsec_bytes_t){ large, sizeof(large) };
	buf = mcipsec_ike_record_encode(&record, NULL);
	assert_true(buf.failed);
	assert_null(buf.ptr);
}

static void only_times_differ(void **state)
{
	mcipsec_child_record_t record = minimal_child();
	mcipsec_buf_t a, b;
	size_t len_a, len_b;

	(void)state;
	a = mcipsec_child_record_encode(&record, &len_a);
	record.age += 5;
	record.rekey -= 5;
	b = mcipsec_child_record_encode(&record, &len_b);
	assert_int_equal(len_a, len_b);
	assert_memory_equal(a.ptr, b.ptr, len_a);
	assert_int_not_equal(memcmp(a.ptr, b.ptr, a.len), 0);
	mcipsec_buf_wipe(&a);
	mcipsec_buf_wipe(&b);
}

/* Any change of one byte is either refused or decoded, never read out of bounds
 * (AddressSanitizer watches). */
static void flipped_bytes(void **state)
{
	mcipsec_ike_record_t record = minimal_ike(), *got;
	mcipsec_buf_t buf;
	size_t i;
	int bit;

	(void)state;
	got = calloc(1, sizeof(*got));
	assert_non_null(got);
	mcipsec_list_add(&record.response, "packet", 6);
	buf = mcipsec_ike_record_encode(&record, NULL);
	for (i = 0; i < buf.len; i++)
	{
		for (bit = 0; bit < 8; bit++)
		{
			buf.ptr[i] ^= 1 << bit;
			if (mcipsec_ike_record_decode(buf.ptr, buf.len, got) ==
				MCIPSEC_RECORD_OK)
			{
				assert_int_equal(got->spi_i.len, 8);
				assert_true(got->local.addr_len == 4 ||
							got->local.addr_len == 16);
			}
			buf.ptr[i] ^= 1 << bit;
		}
	}
	mcipsec_buf_wipe(&buf);
	free(got);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ike_bytes),
		cmocka_unit_test(ike_full),
		cmocka_unit_test(child_full),
		cmocka_unit_test(truncated),
		cmocka_unit_test(unknown_fields),
		cmocka_unit_test(wrong_lengths),
		cmocka_unit_test(repeated_fields),
		cmocka_unit_test(list_bounds),
		cmocka_unit_test(headers),
		cmocka_unit_test(missing_fields),
		cmocka_unit_test(too_large),
		cmocka_unit_test(only_times_differ),
		cmocka_unit_test(flipped_bytes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
