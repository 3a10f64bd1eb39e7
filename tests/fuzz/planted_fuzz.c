/* Fuzz target with a bug that was put there: tests/fuzz/run expects that it is found. It shows that the sanitizers are
 * on, that coverage leads the way (nobody guesses seven letters), and that a crash is told. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    static const uint8_t WORD[] = {'p', 'l', 'a', 'n', 't', 'e', 'd'};
    size_t at = 0;

    while (at < len && at < sizeof(WORD) && data[at] == WORD[at])
        at++;
#ifdef ATRIUM_PLANTED_BUG
    uint8_t *room = malloc(sizeof(WORD));

    if (!room)
        abort();
    if (at == sizeof(WORD))
        room[at] = 1; /* one beyond its end */
    free(room);
#endif
    return 0;
}
