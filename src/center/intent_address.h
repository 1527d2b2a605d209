/* SPDX-License-Identifier: Apache-2.0 */
/*
 * IP addresses, networks and ranges as clients of the policy interface write them, both families.
 * Pure functions; any thread.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

enum {
	INTENT_ADDRESS_MAX = 46, /* of an address, with its NUL */
	INTENT_PREFIX_MAX = 50,
	INTENT_RANGE_MAX = 254 /* networks that make up a range */
};

/* The address alone, as inet_ntop() writes it; false: it is none. */
bool intent_address(const char *text, char out[INTENT_ADDRESS_MAX]);

/* "10.1.0.1/24": an address of a host with the length of its network; both are needed. */
bool intent_gateway(const char *text, char out[INTENT_PREFIX_MAX]);

/* Calls fn with each network that "10.0.0.0/8" (bits beyond the length do not count), "10.0.0.1" or
 * "10.0.0.1-10.0.0.9" stands for, as address/length or address. False: it is none of these. */
bool intent_prefixes(const char *text, void (*fn)(void *arg, const char *prefix), void *arg);
