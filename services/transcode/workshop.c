/* workshop: see the header. */
#include "services/transcode/workshop.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "atrium/reasons.atrium.h"
#include "shared/id.h"

enum { PATH_BYTES = 1200, FTW_FDS = 16, BEGINNING_S = 60 };

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

/* Of a process that died before it had its lock. */
static bool is_old_beginning(const char *home, const char *name)
{
    char path[PATH_BYTES + 256];
    struct stat st;

    snprintf(path, sizeof path, "%s/%s", home, name);
    return strncmp(name, "new-", 4) == 0 && stat(path, &st) == 0 && time(NULL) - st.st_mtime > BEGINNING_S;
}

/* A lock on the folder itself goes with the process. */
static void remove_abandoned(const char *home, Log *log)
{
    DIR *folder = opendir(home);

    for (struct dirent *entry; folder && (entry = readdir(folder));) {
        char path[PATH_BYTES + 256];
        int fd;

        if (strncmp(entry->d_name, "work-", 5) != 0 && !is_old_beginning(home, entry->d_name))
            continue;
        snprintf(path, sizeof path, "%s/%s", home, entry->d_name);
        fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (fd < 0)
            continue;
        if (flock(fd, LOCK_EX | LOCK_NB) == 0) {
            bool gone = workshop_remove(path); /* by itself: a log that is quiet does not ask what it would say */

            LOG_INFO(log, "abandoned_work_removed", "gone", gone);
        }
        close(fd);
    }
    if (folder)
        closedir(folder);
}

static Err make_folder(const char *path)
{
    return mkdir(path, 0700) == 0 || errno == EEXIST ? OK : err_errno(&INTERNAL, "TRANSCODE_DIR");
}

/* Under a name that nobody takes for abandoned until the lock is held. */
static Err make_own(const char *home, Workshop *w)
{
    uint64_t number = random_uint64();
    char hidden[PATH_BYTES];

    snprintf(hidden, sizeof hidden, "%s/new-%016" PRIx64, home, number);
    snprintf(w->dir, sizeof w->dir, "%s/work-%016" PRIx64, home, number);
    TRY(make_folder(hidden));
    w->lock_fd = open(hidden, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (w->lock_fd >= 0 && flock(w->lock_fd, LOCK_EX | LOCK_NB) == 0 && rename(hidden, w->dir) == 0)
        return OK;
    (void)rmdir(hidden);
    return err_errno(&INTERNAL, "TRANSCODE_DIR");
}

Err workshop_open(const char *home, Log *log, Workshop **out)
{
    Workshop *w = xcalloc(1, sizeof *w);
    const char *temp = getenv("TMPDIR");
    char own[PATH_BYTES / 2];
    Err e;

    w->lock_fd = -1;
    if (home[0])
        snprintf(own, sizeof own, "%s", home);
    else
        snprintf(own, sizeof own, "%s/atrium-transcode-%u", temp && temp[0] ? temp : "/var/tmp", (unsigned)geteuid());
    e = make_folder(own);
    if (!err_failed(e)) {
        remove_abandoned(own, log);
        e = make_own(own, w);
    }
    if (err_failed(e)) {
        if (w->lock_fd >= 0)
            close(w->lock_fd);
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
