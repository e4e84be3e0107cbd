/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * mcipsec_record: encoder and decoder, see mcipsec_record.h.
 *
 * One table a kind describes every field: type, form, place in the structure,
 * whether it is required. Encoder and decoder both walk it, so that they cannot
 * disagree. A number that is zero and not required is not sent.
 */
#include "mcipsec_record.h"

#include <stdlib.h>
#include <string.h>

/** "MC" */
static const uint8_t magic[] = { 0x4d, 0x43 };

#define HEADER_LEN	8
#define FIELD_LEN	4

typedef enum {
	FORM_BOOL,
	FORM_U8,
	FORM_U16,
	FORM_U32,
	FORM_U64,
	/* bytes of exactly 8 */
	FORM_SPI,
	/* bytes of any length but zero */
	FORM_BYTES,
	/* repeated bytes */
	FORM_LIST,
	/* port, then 4 or 16 bytes of address */
	FORM_ENDPOINT,
	/* time: u32, sent only if not MCIPSEC_NEVER, and counted as volatile */
	FORM_TIME,
} form_t;

typedef struct {
	uint16_t type;
	form_t form;
	size_t offset;
	bool required;
} field_t;

#define IKE(type, form, member, required) \
	{ type, FORM_##form, offsetof(mcipsec_ike_record_t, member), required }
#define CHILD(type, form, member, required) \
	{ type, FORM_##form, offsetof(mcipsec_child_record_t, member), required }

/* Numbers are never reused; volatile fields (times) stay at the end. */
static const field_t ike_fields[] = {
	IKE( 1, SPI,		spi_i,			true),
	IKE( 2, SPI,		spi_r,			true),
	IKE( 3, BOOL,		initiator,		true),
	IKE( 4, U8,			state,			true),
	IKE( 5, BYTES,		nonce_i,		true),
	IKE( 6, BYTES,		nonce_r,		true),
	IKE( 7, BYTES,		secret,			true),
	IKE( 8, BOOL,		rekeyed,		false),
	IKE( 9, SPI,		old_spi_i,		false),
	IKE(10, SPI,		old_spi_r,		false),
	IKE(11, BYTES,		old_skd,		false),
	IKE(12, U16,		old_prf,		false),
	IKE(13, U16,		encr,			true),
	IKE(14, U16,		encr_len,		false),
	IKE(15, U16,		integ,			false),
	IKE(16, U16,		prf,			true),
	IKE(17, U16,		ke,				true),
	IKE(18, U32,		mid_in,			true),
	IKE(19, U32,		mid_out,		true),
	IKE(20, LIST,		response,		false),
	IKE(21, LIST,		request,		false),
	IKE(22, U8,			request_type,	false),
	IKE(23, U8,			request_proto,	false),
	IKE(24, U32,		request_spi,	false),
	IKE(25, ENDPOINT,	local,			true),
	IKE(26, ENDPOINT,	remote,			true),
	IKE(27, BYTES,		local_id,		true),
	IKE(28, BYTES,		remote_id,		true),
	IKE(29, BYTES,		eap_id,			false),
	IKE(30, U64,		extensions,		false),
	IKE(31, U64,		conditions,		false),
	IKE(32, LIST,		local_vips,		false),
	IKE(33, LIST,		remote_vips,	false),
	IKE(34, LIST,		peer_addresses,	false),
	IKE(35, BYTES,		ppk_id,			false),
	IKE(128, TIME,		age,			false),
	IKE(129, TIME,		rekey,			false),
	IKE(130, TIME,		reauth,			false),
	IKE(131, TIME,		lifetime,		false),
};

static const field_t child_fields[] = {
	CHILD( 1, U8,		protocol,		true),
	CHILD( 2, U8,		mode,			true),
	CHILD( 3, U8,		ipcomp,			false),
	CHILD( 4, U8,		state,			true),
	CHILD( 5, BOOL,		encap,			false),
	CHILD( 6, BOOL,		initiator,		true),
	CHILD( 7, U8,		outbound,		false),
	CHILD( 8, U32,		spi_in,			true),
	CHILD( 9, U32,		spi_out,		true),
	CHILD(10, U32,		rekey_spi,		false),
	CHILD(11, U16,		cpi_in,			false),
	CHILD(12, U16,		cpi_out,		false),
	CHILD(13, U16,		encr,			false),
	CHILD(14, U16,		encr_len,		false),
	CHILD(15, U16,		integ,			false),
	CHILD(16, U16,		ke,				false),
	CHILD(17, U16,		esn,			false),
	CHILD(18, BYTES,	encr_i,			false),
	CHILD(19, BYTES,	encr_r,			false),
	CHILD(20, BYTES,	integ_i,		false),
	CHILD(21, BYTES,	integ_r,		false),
	CHILD(22, U32,		mark_in,		false),
	CHILD(23, U32,		mark_in_mask,	false),
	CHILD(24, U32,		mark_out,		false),
	CHILD(25, U32,		mark_out_mask,	false),
	CHILD(26, U32,		if_id_in,		false),
	CHILD(27, U32,		if_id_out,		false),
	CHILD(28, LIST,		local_ts,		true),
	CHILD(29, LIST,		remote_ts,		true),
	CHILD(30, BYTES,	kes,			false),
	CHILD(128, TIME,	age,			false),
	CHILD(129, TIME,	rekey,			false),
	CHILD(130, TIME,	lifetime,		false),
};

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

const char *mcipsec_record_status_text(mcipsec_record_status_t status)
{
	switch (status)
	{
		case MCIPSEC_RECORD_OK:
			return "ok";
		case MCIPSEC_RECORD_TRUNCATED:
			return "record is truncated";
		case MCIPSEC_RECORD_MAGIC:
			return "not a record";
		case MCIPSEC_RECORD_VERSION:
			return "record of another major version";
		case MCIPSEC_RECORD_KIND:
			return "record of another kind";
		case MCIPSEC_RECORD_LENGTH:
			return "field of a wrong length";
		case MCIPSEC_RECORD_TOO_MANY:
			return "field repeated too often";
		case MCIPSEC_RECORD_MISSING:
			return "required field is missing";
	}
	return "unknown";
}

/** Overwrite memory in a way that the compiler may not drop */
static void wipe(void *ptr, size_t len)
{
	volatile uint8_t *c = ptr;

	while (len--)
	{
		*c++ = 0;
	}
}

void mcipsec_buf_wipe(mcipsec_buf_t *buf)
{
	if (buf->ptr)
	{
		wipe(buf->ptr, buf->size);
		free(buf->ptr);
	}
	memset(buf, 0, sizeof(*buf));
}

bool mcipsec_list_add(mcipsec_list_t *list, const void *ptr, size_t len)
{
	if (list->count >= MCIPSEC_LIST_MAX)
	{
		list->overflow = true;
		return false;
	}
	list->items[list->count].ptr = ptr;
	list->items[list->count].len = len;
	list->count++;
	return true;
}

/** Give up: a record is whole or there is none */
static void fail(mcipsec_buf_t *buf)
{
	mcipsec_buf_wipe(buf);
	buf->failed = true;
}

/** Append; grows by copying, as realloc() would leave secrets behind */
static void put(mcipsec_buf_t *buf, const void *data, size_t len)
{
	if (buf->failed || !len)
	{
		return;
	}
	if (buf->len + len > MCIPSEC_RECORD_MAX)
	{
		fail(buf);
		return;
	}
	if (buf->len + len > buf->size)
	{
		mcipsec_buf_t grown = {
			.size = (buf->size ? buf->size : 512),
			.len = buf->len,
		};

		while (grown.size < buf->len + len)
		{
			grown.size *= 2;
		}
		grown.ptr = malloc(grown.size);
		if (!grown.ptr)
		{
			fail(buf);
			return;
		}
		if (buf->len)
		{
			memcpy(grown.ptr, buf->ptr, buf->len);
		}
		mcipsec_buf_wipe(buf);
		*buf = grown;
	}
	memcpy(buf->ptr + buf->len, data, len);
	buf->len += len;
}

static void put_field(mcipsec_buf_t *buf, uint16_t type, const void *data,
					  size_t len)
{
	uint8_t head[FIELD_LEN] = { type >> 8, type, len >> 8, len };

	if (len > UINT16_MAX)
	{
		fail(buf);
		return;
	}
	put(buf, head, sizeof(head));
	put(buf, data, len);
}

/** Append a number of n bytes in network order */
static void put_number(mcipsec_buf_t *buf, uint16_t type, uint64_t value,
					   size_t n)
{
	uint8_t data[8];
	size_t i;

	for (i = 0; i < n; i++)
	{
		data[i] = value >> (8 * (n - 1 - i));
	}
	put_field(buf, type, data, n);
}

static uint64_t get_number(const uint8_t *data, size_t n)
{
	uint64_t value = 0;

	while (n--)
	{
		value = value << 8 | *data++;
	}
	return value;
}

static void put_endpoint(mcipsec_buf_t *buf, uint16_t type,
						 const mcipsec_endpoint_t *endpoint)
{
	uint8_t data[2 + sizeof(endpoint->addr)] = {
		endpoint->port >> 8, endpoint->port,
	};

	if (endpoint->addr_len)
	{
		memcpy(data + 2, endpoint->addr, endpoint->addr_len);
		put_field(buf, type, data, 2 + endpoint->addr_len);
	}
}

static void encode_field(mcipsec_buf_t *buf, const field_t *field,
						 const void *record)
{
	const void *member = (const uint8_t*)record + field->offset;
	const mcipsec_bytes_t *bytes = member;
	const mcipsec_list_t *list = member;
	uint64_t number = 0;
	size_t i, n = 0;

	switch (field->form)
	{
		case FORM_BOOL:
			number = *(const bool*)member;
			n = 1;
			break;
		case FORM_U8:
			number = *(const uint8_t*)member;
			n = 1;
			break;
		case FORM_U16:
			number = *(const uint16_t*)member;
			n = 2;
			break;
		case FORM_U32:
			number = *(const uint32_t*)member;
			n = 4;
			break;
		case FORM_U64:
			number = *(const uint64_t*)member;
			n = 8;
			break;
		case FORM_SPI:
		case FORM_BYTES:
			if (bytes->len)
			{
				put_field(buf, field->type, bytes->ptr, bytes->len);
			}
			return;
		case FORM_LIST:
			if (list->overflow)
			{
				fail(buf);
				return;
			}
			for (i = 0; i < list->count; i++)
			{
				put_field(buf, field->type, list->items[i].ptr,
						  list->items[i].len);
			}
			return;
		case FORM_ENDPOINT:
			put_endpoint(buf, field->type, member);
			return;
		case FORM_TIME:
			if (*(const uint32_t*)member != MCIPSEC_NEVER)
			{
				put_number(buf, field->type, *(const uint32_t*)member, 4);
			}
			return;
	}
	if (number || field->required)
	{
		put_number(buf, field->type, number, n);
	}
}

static mcipsec_buf_t encode(mcipsec_kind_t kind, const field_t *fields,
							size_t count, const void *record,
							size_t *static_len)
{
	mcipsec_buf_t buf = {};
	uint8_t header[HEADER_LEN] = {
		magic[0], magic[1], MCIPSEC_RECORD_MAJOR, MCIPSEC_RECORD_MINOR,
		0, kind, 0, 0,
	};
	bool timed = false;
	size_t i;

	put(&buf, header, sizeof(header));
	for (i = 0; i < count; i++)
	{
		if (fields[i].form == FORM_TIME && !timed)
		{
			timed = true;
			if (static_len)
			{
				*static_len = buf.len;
			}
		}
		encode_field(&buf, &fields[i], record);
	}
	return buf;
}

/** Store the value of a known field */
static mcipsec_record_status_t decode_field(const field_t *field, void *record,
											const uint8_t *data, size_t len)
{
	void *member = (uint8_t*)record + field->offset;
	mcipsec_bytes_t *bytes = member;
	mcipsec_endpoint_t *endpoint = member;

	switch (field->form)
	{
		case FORM_BOOL:
			if (len != 1 || *data > 1)
			{
				return MCIPSEC_RECORD_LENGTH;
			}
			*(bool*)member = *data;
			return MCIPSEC_RECORD_OK;
		case FORM_U8:
			if (len != 1)
			{
				return MCIPSEC_RECORD_LENGTH;
			}
			*(uint8_t*)member = *data;
			return MCIPSEC_RECORD_OK;
		case FORM_U16:
			if (len != 2)
			{
				return MCIPSEC_RECORD_LENGTH;
			}
			*(uint16_t*)member = get_number(data, len);
			return MCIPSEC_RECORD_OK;
		case FORM_U32:
		case FORM_TIME:
			if (len != 4)
			{
				return MCIPSEC_RECORD_LENGTH;
			}
			*(uint32_t*)member = get_number(data, len);
			return MCIPSEC_RECORD_OK;
		case FORM_U64:
			if (len != 8)
			{
				return MCIPSEC_RECORD_LENGTH;
			}
			*(uint64_t*)member = get_number(data, len);
			return MCIPSEC_RECORD_OK;
		case FORM_SPI:
		case FORM_BYTES:
			if (!len || (field->form == FORM_SPI && len != 8))
			{
				return MCIPSEC_RECORD_LENGTH;
			}
			bytes->ptr = data;
			bytes->len = len;
			return MCIPSEC_RECORD_OK;
		case FORM_LIST:
			if (!len)
			{
				return MCIPSEC_RECORD_LENGTH;
			}
			return mcipsec_list_add(member, data, len) ? MCIPSEC_RECORD_OK
													   : MCIPSEC_RECORD_TOO_MANY;
		case FORM_ENDPOINT:
			if (len != 2 + 4 && len != 2 + 16)
			{
				return MCIPSEC_RECORD_LENGTH;
			}
			endpoint->port = get_number(data, 2);
			endpoint->addr_len = len - 2;
			memcpy(endpoint->addr, data + 2, endpoint->addr_len);
			return MCIPSEC_RECORD_OK;
	}
	return MCIPSEC_RECORD_LENGTH;
}

static mcipsec_record_status_t decode(mcipsec_kind_t kind,
				const field_t *fields, size_t count, const uint8_t *data,
				size_t len, void *record)
{
	uint64_t seen = 0;
	size_t i;

	if (len < HEADER_LEN)
	{
		return MCIPSEC_RECORD_TRUNCATED;
	}
	if (memcmp(data, magic, sizeof(magic)))
	{
		return MCIPSEC_RECORD_MAGIC;
	}
	if (data[2] != MCIPSEC_RECORD_MAJOR)
	{
		return MCIPSEC_RECORD_VERSION;
	}
	if (get_number(data + 4, 2) != kind)
	{
		return MCIPSEC_RECORD_KIND;
	}
	data += HEADER_LEN;
	len -= HEADER_LEN;

	for (i = 0; i < count; i++)
	{
		if (fields[i].form == FORM_TIME)
		{
			*(uint32_t*)((uint8_t*)record + fields[i].offset) = MCIPSEC_NEVER;
		}
	}
	while (len)
	{
		mcipsec_record_status_t status;
		uint16_t type, value_len;

		if (len < FIELD_LEN)
		{
			return MCIPSEC_RECORD_TRUNCATED;
		}
		type = get_number(data, 2);
		value_len = get_number(data + 2, 2);
		data += FIELD_LEN;
		len -= FIELD_LEN;
		if (len < value_len)
		{
			return MCIPSEC_RECORD_TRUNCATED;
		}
		for (i = 0; i < count; i++)
		{
			if (fields[i].type == type)
			{
				if (fields[i].form != FORM_LIST && seen & 1ULL << i)
				{
					return MCIPSEC_RECORD_TOO_MANY;
				}
				status = decode_field(&fields[i], record, data, value_len);
				if (status != MCIPSEC_RECORD_OK)
				{
					return status;
				}
				seen |= 1ULL << i;
				break;
			}
		}
		data += value_len;
		len -= value_len;
	}
	for (i = 0; i < count; i++)
	{
		if (fields[i].required && !(seen & 1ULL << i))
		{
			return MCIPSEC_RECORD_MISSING;
		}
	}
	return MCIPSEC_RECORD_OK;
}

_Static_assert(COUNT(ike_fields) <= 64 && COUNT(child_fields) <= 64,
			   "decode() keeps one bit a field");

mcipsec_buf_t mcipsec_ike_record_encode(const mcipsec_ike_record_t *record,
										size_t *static_len)
{
	return encode(MCIPSEC_KIND_IKE, ike_fields, COUNT(ike_fields), record,
				  static_len);
}

mcipsec_buf_t mcipsec_child_record_encode(const mcipsec_child_record_t *record,
										  size_t *static_len)
{
	return encode(MCIPSEC_KIND_CHILD, child_fields, COUNT(child_fields), record,
				  static_len);
}

mcipsec_record_status_t mcipsec_ike_record_decode(const uint8_t *data,
						size_t len, mcipsec_ike_record_t *record)
{
	mcipsec_record_status_t status;

	memset(record, 0, sizeof(*record));
	status = decode(MCIPSEC_KIND_IKE, ike_fields, COUNT(ike_fields), data, len,
					record);
	if (status == MCIPSEC_RECORD_OK && record->rekeyed &&
		(!record->old_skd.len || !record->old_spi_i.len ||
		 !record->old_spi_r.len))
	{
		return MCIPSEC_RECORD_MISSING;
	}
	return status;
}

mcipsec_record_status_t mcipsec_child_record_decode(const uint8_t *data,
						size_t len, mcipsec_child_record_t *record)
{
	memset(record, 0, sizeof(*record));
	return decode(MCIPSEC_KIND_CHILD, child_fields, COUNT(child_fields), data,
				  len, record);
}
