/* memory: by glibc's malloc_trim. */
#include "shared/memory.h"

#include <fcntl.h>
#include <malloc.h>
#include <unistd.h>

enum { MAPPED_MIN_BYTES = 256 * 1024, TOP_MAX_BYTES = 4 * 1024 * 1024, WORTH_BYTES = 4 * 1024 * 1024 };

void memory_open(void)
{
    /* Left to itself the threshold grows with each large block that is freed, up to 32 MiB: the next one then comes
     * from the heap, and holds up everything below it. */
    (void)mallopt(M_MMAP_THRESHOLD, MAPPED_MIN_BYTES);
    /* The same for what is free on top: at 128 KiB, where it would now stay, it came and went with each busy moment. */
    (void)mallopt(M_TRIM_THRESHOLD, TOP_MAX_BYTES);
}

/* 0 where the kernel does not say. */
static size_t resident_bytes(void)
{
    char text[64] = "", *pages;
    int fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
    ssize_t n = fd >= 0 ? read(fd, text, sizeof(text) - 1) : -1;

    if (fd >= 0)
        close(fd);
    pages = n > 0 ? strchr(text, ' ') : NULL;
    return pages ? strtoul(pages, NULL, 10) * (size_t)sysconf(_SC_PAGESIZE) : 0;
}

/* malloc alone cannot tell: pages that were given back still count as free in it. */
bool memory_rest(MemoryRest *rest)
{
    size_t resident = resident_bytes();

    if (resident < rest->resident_bytes)
        rest->resident_bytes = resident;
    if (resident - rest->resident_bytes < WORTH_BYTES || mallinfo2().fordblks < WORTH_BYTES)
        return false;
    (void)malloc_trim(0); /* 0: there was nothing to give */
    rest->resident_bytes = resident_bytes();
    return true;
}
