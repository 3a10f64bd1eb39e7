/* geojson: events on a map (RFC 7946). */
#pragma once
#include "services/events/store_pages.h"

/* A FeatureCollection of occurrences: a point where the place is known, else no geometry. */
void geojson_write(StrBuf *out, const Events *events, const ListedEvent *list, size_t count);
