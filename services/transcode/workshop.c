/* workshop: see the header. */
#include "services/transcode/workshop.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "atrium/reasons.atrium.h"
#include "shared/id.h"

enum { PATH_BYTES = 1200, FTW_FDS = 16 };

struct Workshop {
    char dir[PATH_BYTES];
    int lock_fd;
};

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *at)
{
    (void)st, (void)type, (void)at;
    return remove(path) == 0 || errno == ENOENT ? 0 : -1;
}

bool workshop_remove(const char *dir)
{
    return nftw(dir, remove_entry, FTW_FDS, FTW_DEPTH | FTW_PHYS) == 0 || errno == ENOENT;
}

/* A lock on the folder itself goes with the process. */
static void remove_abandoned(const char *home, Log *log)
{
    DIR *folder = opendir(home);

    for (struct dirent *entry; folder && (entry = readdir(folder));) {
        char path[PATH_BYTES + 256];
        int fd;

        if (strncmp(entry->d_name, "work-", 5) != 0)
            continue;
        snprintf(path, sizeof path, "%s/%s", home, entry->d_name);
        fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (fd < 0)
            continue;
        if (flock(fd, LOCK_EX | LOCK_NB) == 0)
            LOG_INFO(log, "abandoned_work_removed", "gone", workshop_remove(path));
        close(fd);
    }
    if (folder)
        closedir(folder);
}

static Err make_folder(const char *path)
{
    return mkdir(path, 0700) == 0 || errno == EEXIST ? OK : err_errno(&INTERNAL, "TRANSCODE_DIR");
}

Err workshop_open(const char *home, Log *log, Workshop **out)
{
    Workshop *w = xcalloc(1, sizeof *w);
    const char *temp = getenv("TMPDIR");
    char own[PATH_BYTES / 2];
    Err e;

    if (home[0])
        snprintf(own, sizeof own, "%s", home);
    else
        snprintf(own, sizeof own, "%s/atrium-transcode-%u", temp && temp[0] ? temp : "/var/tmp", (unsigned)geteuid());
    e = make_folder(own);
    if (!err_failed(e)) {
        remove_abandoned(own, log);
        snprintf(w->dir, sizeof w->dir, "%s/work-%016" PRIx64, own, random_uint64());
        e = make_folder(w->dir);
    }
    w->lock_fd = err_failed(e) ? -1 : open(w->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (!err_failed(e) && (w->lock_fd < 0 || flock(w->lock_fd, LOCK_EX | LOCK_NB) != 0))
        e = err_errno(&INTERNAL, "TRANSCODE_DIR");
    if (err_failed(e)) {
        free(w);
        return e;
    }
    *out = w;
    return OK;
}

const char *workshop_dir(const Workshop *w)
{
    return w->dir;
}

void workshop_close(Workshop *w)
{
    if (!w)
        return;
    (void)workshop_remove(w->dir); /* the next start tries again */
    close(w->lock_fd);
    free(w);
}
