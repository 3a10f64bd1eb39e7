/* What search engines would say of an event. */
#include "services/events/rich.h"
#include "shared/testing.h"

static void faults_and_wishes_are_told(void **state)
{
    static const struct {
        const char *json, *pointer;
        bool is_error, is_there;
    } CASES[] = {
        {"{\"@type\":\"Event\"}", "/name", true, true},
        {"{\"@type\":\"Event\"}", "/startDate", true, true},
        {"{\"@type\":\"Event\"}", "/location", true, true},
        {"{\"@type\":\"Event\"}", "/image", false, true},
        {"{\"@type\":\"Event\",\"location\":{\"@type\":\"Place\",\"name\":\"x\"}}", "/location/0/address", true, true},
        {"{\"@type\":\"Event\",\"location\":{\"@type\":\"VirtualLocation\",\"url\":\"https://x.test\"}}",
         "/location/0/address", true, false},
        {"{\"@type\":\"Event\",\"location\":{\"@type\":\"VirtualLocation\"}}", "/location/0/url", true, true},
        {"{\"@type\":\"Event\",\"offers\":[{\"price\":5}]}", "/offers/0/priceCurrency", false, true},
        {"{\"@type\":\"Event\",\"offers\":[{\"price\":5}]}", "/offers/0/price", false, false},
        {"{\"@type\":\"Event\",\"organizer\":{\"name\":\"x\"}}", "/organizer/url", false, true},
        {"{\"@type\":\"Event\",\"eventStatus\":\"https://schema.org/EventRescheduled\"}", "/previousStartDate", false,
         true},
        {"{\"@type\":\"Event\",\"name\":\"x\"}", "/previousStartDate", false, false},
    };
    CLEANUP(arena_free_at) Arena *mem = arena_new(4096);

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
        bool found = false;
        RichFinding *list;
        Node *node;
        size_t count;

        assert_true(node_read(mem, slice(CASES[i].json), &node));
        count = rich_check(mem, node, &list);
        for (size_t k = 0; k < count; k++)
            found |= strcmp(list[k].pointer, CASES[i].pointer) == 0 && list[k].is_error == CASES[i].is_error;
        if (found != CASES[i].is_there)
            fail_msg("%s: %s", CASES[i].json, CASES[i].pointer);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(faults_and_wishes_are_told)};

    return RUN(tests);
}
