/* Fuzz target with a bug that was put there: tests/fuzz/run expects that it is found. It shows that the sanitizers are
 * on, that coverage leads the way (nobody guesses six letters at once), and that a crash is told. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

/* How many letters of "bug:42" are there. Each has a branch of its own, which is what coverage sees. */
static size_t count_letters(const uint8_t *data, size_t len)
{
    if (len < 1 || data[0] != 'b')
        return 0;
    if (len < 2 || data[1] != 'u')
        return 1;
    if (len < 3 || data[2] != 'g')
        return 2;
    if (len < 4 || data[3] != ':')
        return 3;
    if (len < 5 || data[4] != '4')
        return 4;
    return len < 6 || data[5] != '2' ? 5 : 6;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    size_t letters = count_letters(data, len);
    uint8_t *room = malloc(6);

    if (!room)
        abort();
#ifdef ATRIUM_PLANTED_BUG
    room[letters] = 1; /* with all six: one beyond its end */
#else
    room[letters % 6] = 1;
#endif
    free(room);
    return 0;
}
