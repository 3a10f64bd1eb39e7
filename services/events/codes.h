/* codes: names that have one (contracts/events.md 7.2): countries by ISO 3166, provinces and states by what the post
 * writes, languages by BCP 47, currencies by ISO 4217. No state: any thread; results are borrowed from `mem`. */
#pragma once
#include "shared/slice.h"

/* "Canada", "canada", "CAN", "ca", "Kanada" … → "CA"; what is no country's name stays as it is. */
const char *code_country(Arena *mem, Slice name);
/* "Ontario", "Québec", "california" → "ON", "QC", "CA"; "on" → "ON"; anything else stays. Only of Canada and the United
 * States: elsewhere the name is what people write. `country` is a code or "" for unknown. */
const char *code_region(Arena *mem, Slice name, const char *country);
/* "en", "fr-CA" in its usual letter case; NULL for what is no language tag. */
const char *code_language(Arena *mem, Slice tag);
/* Three letters, upper case; NULL else. */
const char *code_currency(Arena *mem, Slice name);
