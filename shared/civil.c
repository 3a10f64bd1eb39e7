#include "shared/civil.h"

/* Years are counted from March, so that the leap day is the last of its year; 400 years (an era) have 146097 days. */
enum { DAYS_PER_ERA = 146097, DAYS_TO_1970 = 719468 /* from 0000-03-01 */ };

int64_t civil_floor_div(int64_t a, int64_t b)
{
    return a / b - (a % b < 0);
}

int64_t civil_days(CivilDate d)
{
    int64_t year = d.year - (d.month <= 2);
    int64_t era = civil_floor_div(year, 400), of_era = year - era * 400;
    int month = (d.month + 9) % 12; /* March is 0 */
    int64_t day_of_year = (153 * month + 2) / 5 + d.day - 1;

    return era * DAYS_PER_ERA + of_era * 365 + of_era / 4 - of_era / 100 + day_of_year - DAYS_TO_1970;
}

CivilDate civil_date(int64_t days)
{
    int64_t since = days + DAYS_TO_1970, era = civil_floor_div(since, DAYS_PER_ERA);
    int64_t day = since - era * DAYS_PER_ERA;
    int64_t of_era = (day - day / 1460 + day / 36524 - day / 146096) / 365;
    int64_t day_of_year = day - (365 * of_era + of_era / 4 - of_era / 100);
    int64_t month = (5 * day_of_year + 2) / 153;
    CivilDate d = {.day = (int)(day_of_year - (153 * month + 2) / 5 + 1),
                   .month = (int)(month < 10 ? month + 3 : month - 9)};

    d.year = of_era + era * 400 + (d.month <= 2);
    return d;
}

int civil_days_in_year(int64_t year)
{
    return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) ? 366 : 365;
}

int civil_days_in_month(int64_t year, int month)
{
    static const char DAYS[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};

    return month == 2 && civil_days_in_year(year) == 366 ? 29 : DAYS[month - 1];
}

bool civil_date_exists(CivilDate d)
{
    return d.month >= 1 && d.month <= 12 && d.day >= 1 && d.day <= civil_days_in_month(d.year, d.month);
}

int civil_weekday(int64_t days)
{
    int64_t since_monday = (days + 3) % 7; /* 1970-01-01 was a Thursday */

    return (int)(since_monday < 0 ? since_monday + 7 : since_monday);
}
