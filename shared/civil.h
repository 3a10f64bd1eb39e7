/* civil: dates of the Gregorian calendar as numbers, before 1582 too. By arithmetic: gmtime_r takes the time zone's
 * lock, and timegm accepts the 30th of February. Pure functions. */
#pragma once
#include "shared/base.h"

enum { CIVIL_S_PER_DAY = 86400 };

typedef struct CivilDate {
    int64_t year;
    int month, day; /* from 1 */
} CivilDate;

/* Days since 1970-01-01, and back. The date exists: ask civil_date_exists() of one from outside. */
int64_t civil_days(CivilDate date);
CivilDate civil_date(int64_t days);
int civil_days_in_month(int64_t year, int month);
int civil_days_in_year(int64_t year);
bool civil_date_exists(CivilDate date);
int civil_weekday(int64_t days); /* 0 is Monday */
/* Rounds down, also below zero. */
int64_t civil_floor_div(int64_t a, int64_t b);
