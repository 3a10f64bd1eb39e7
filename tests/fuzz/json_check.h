/* json_check: for fuzz targets, a second opinion on what is JSON. In a file of its own: jansson's names and ours meet.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>

bool json_check(const char *text, size_t len);
