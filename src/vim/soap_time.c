/* SPDX-License-Identifier: Apache-2.0 */
/* xsd:dateTime <-> microseconds, by the proleptic Gregorian calendar (XML Schema Part 2 §3.2.7). */
#include "vim/soap.h"

#define US_PER_S  INT64_C(1000000)
#define S_PER_DAY INT64_C(86400)

/* Years are counted from March, so that the leap day is the last of its year; eras of 400 years are
 * all of the same length. 719468 days lie between 0000-03-01 and 1970-01-01. */
static int64_t days_from_date(int64_t year, unsigned month, unsigned day)
{
	int64_t y = month <= 2 ? year - 1 : year;
	int64_t era = (y >= 0 ? y : y - 399) / 400;
	int64_t year_of_era = y - era * 400;
	int64_t day_of_year = (153 * ((int64_t)month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
	int64_t day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;

	return era * 146097 + day_of_era - 719468;
}

static void date_from_days(int64_t days, int64_t *year, unsigned *month, unsigned *day)
{
	days += 719468;
	int64_t era = (days >= 0 ? days : days - 146096) / 146097;
	int64_t doe = days - era * 146097;
	int64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
	int64_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
	int64_t mp = (5 * doy + 2) / 153;

	*day = (unsigned)(doy - (153 * mp + 2) / 5 + 1);
	*month = (unsigned)(mp < 10 ? mp + 3 : mp - 9);
	*year = yoe + era * 400 + (*month <= 2);
}

static char *put_digits(char *at, uint64_t v, unsigned n)
{
	for (unsigned i = n; i-- > 0; v /= 10) {
		at[i] = (char)('0' + v % 10);
	}
	return at + n;
}

void soap_write_time(struct buf *b, int64_t us)
{
	int64_t seconds = us / US_PER_S, fraction = us % US_PER_S;
	if (fraction < 0) {
		fraction += US_PER_S;
		seconds--;
	}
	int64_t days = seconds / S_PER_DAY, rest = seconds % S_PER_DAY;
	if (rest < 0) {
		rest += S_PER_DAY;
		days--;
	}
	int64_t year;
	unsigned month, day;
	date_from_days(days, &year, &month, &day);
	char *start = buf_reserve(b, 40), *at = start;
	if (year < 0) {
		*at++ = '-';
		year = -year;
	}
	at = put_digits(at, (uint64_t)year, year > 9999 ? 6 : 4);
	*at++ = '-';
	at = put_digits(at, month, 2);
	*at++ = '-';
	at = put_digits(at, day, 2);
	*at++ = 'T';
	at = put_digits(at, (uint64_t)rest / 3600, 2);
	*at++ = ':';
	at = put_digits(at, (uint64_t)rest / 60 % 60, 2);
	*at++ = ':';
	at = put_digits(at, (uint64_t)rest % 60, 2);
	if (fraction != 0) {
		*at++ = '.';
		at = put_digits(at, (uint64_t)fraction, 6);
	}
	*at++ = 'Z';
	buf_commit(b, (size_t)(at - start));
}

/* Exactly n digits at *s. */
static bool take_digits(const char **s, const char *end, unsigned n, int64_t *out)
{
	int64_t v = 0;

	for (unsigned i = 0; i < n; i++, (*s)++) {
		if (*s == end || **s < '0' || **s > '9') {
			return false;
		}
		v = v * 10 + (**s - '0');
	}
	*out = v;
	return true;
}

static bool take_char(const char **s, const char *end, char c)
{
	if (*s == end || **s != c) {
		return false;
	}
	(*s)++;
	return true;
}

/* ".467259": what is finer than a microsecond is cut off. */
static bool take_fraction(const char **s, const char *end, int64_t *us)
{
	int64_t scale = US_PER_S / 10;

	*us = 0;
	if (!take_char(s, end, '.')) {
		return true;
	}
	const char *first = *s;
	for (; *s < end && **s >= '0' && **s <= '9'; (*s)++, scale /= 10) {
		*us += (**s - '0') * scale;
	}
	return *s > first;
}

/* "Z", "+02:00" or nothing (UTC): minutes east of Greenwich. */
static bool take_zone(const char **s, const char *end, int64_t *minutes)
{
	int64_t hour, minute;

	*minutes = 0;
	if (*s == end || take_char(s, end, 'Z')) {
		return true;
	}
	bool west = **s == '-';
	if (!west && **s != '+') {
		return false;
	}
	(*s)++;
	if (!take_digits(s, end, 2, &hour) || !take_char(s, end, ':') ||
	    !take_digits(s, end, 2, &minute) || hour > 14 || minute > 59) {
		return false;
	}
	*minutes = (hour * 60 + minute) * (west ? -1 : 1);
	return true;
}

static bool date_is_valid(int64_t year, int64_t month, int64_t day)
{
	static const uint8_t n_days[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };

	if (month < 1 || month > 12 || day < 1) {
		return false;
	}
	bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
	return day <= n_days[month - 1] + (month == 2 && leap);
}

bool soap_read_time(const char *s, size_t len, int64_t *us)
{
	const char *end = s + len;
	int64_t year, month, day, hour, minute, second, fraction, zone;

	if (!take_digits(&s, end, 4, &year) || !take_char(&s, end, '-') ||
	    !take_digits(&s, end, 2, &month) || !take_char(&s, end, '-') ||
	    !take_digits(&s, end, 2, &day) || !take_char(&s, end, 'T') ||
	    !take_digits(&s, end, 2, &hour) || !take_char(&s, end, ':') ||
	    !take_digits(&s, end, 2, &minute) || !take_char(&s, end, ':') ||
	    !take_digits(&s, end, 2, &second) || !take_fraction(&s, end, &fraction) ||
	    !take_zone(&s, end, &zone) || s != end || !date_is_valid(year, month, day)) {
		return false;
	}
	bool midnight = hour == 24 && minute == 0 && second == 0 && fraction == 0;
	if ((hour > 23 && !midnight) || minute > 59 || second > 59) {
		return false;
	}
	int64_t days = days_from_date(year, (unsigned)month, (unsigned)day);
	int64_t seconds = days * S_PER_DAY + hour * 3600 + (minute - zone) * 60 + second;
	*us = seconds * US_PER_S + fraction;
	return true;
}
