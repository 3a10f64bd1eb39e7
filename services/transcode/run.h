/* run: one attempt at one job. Steps are remembered when they are complete: another attempt goes on behind them. What a
 * step makes is in the blob store before the step is. From the worker's thread alone. */
#pragma once
#include "services/transcode/probe.h"
#include "services/transcode/sniff.h"
#include "services/transcode/store.h"
#include "shared/jobs.h"

typedef struct Run {
    const Transcode *t;
    Arena *mem;
    Job *job;
    JobRow row;
    const char *dir; /* the children's folder, empty at first */
    int nice;
    BlobReader *reader;
    int input_fd; /* the original; -1: not opened yet */
    const char *mime_type;
    MediaClass class;
    Probe probe; /* where run_probe was called */

    StepRow *steps; /* complete ones of this job */
    size_t step_count, step_capacity;
    /* Progress: the present step's name, and its part of the job. */
    const char *step;
    double from, to;
    int told;
    int64_t told_ms, checked_ms;
    bool unwanted; /* cancelled, or overtaken by a later attempt */
} Run;

typedef Err (*StepWork)(Run *run, Transcode__V1__StepResult *out);

/* Does `work` unless an earlier attempt did. `from` to `to` is its part of the job's progress, 0 to 1. */
Err run_step(Run *run, const char *name, double from, double to, StepWork work) MUST_CHECK;
/* What all steps made so far. */
Err run_result(Run *run, Transcode__V1__StepResult **out) MUST_CHECK;
/* The same of all jobs of this generation. */
Err run_all_results(Run *run, Transcode__V1__StepResult **out) MUST_CHECK;
/* How far the present step is, 0 to 1; told at most once a second. */
void run_progress(Run *run, double part);
/* Nobody wants it any more, or the service drains. For ChildSpec; asks the database once a second. */
bool run_cancelled(void *run);

/* Opens the original and looks at its first bytes. INPUT_MISSING, INPUT_UNSUPPORTED: it is empty. */
Err run_open_input(Run *run) MUST_CHECK;
Err run_probe(Run *run) MUST_CHECK;
/* A file's path in the folder. */
const char *run_path(const Run *run, const char *name);

/* Runs ffmpeg in the folder, `what` for people. `duration_s` for progress; 0: none. `out` may be NULL. */
Err run_ffmpeg(Run *run, const char *const *args, double duration_s, const char *what, ChildResult *out) MUST_CHECK;

/* Puts a file of the folder, or bytes, under the item's derived objects as `name`, and lists it. */
typedef struct NewAsset {
    Transcode__V1__AssetKind kind;
    const char *name, *content_type;
    int width, height;
    const char *codecs, *language;
    bool is_default, is_forced;
} NewAsset;
Err run_put_file(Run *run, const NewAsset *asset, const char *file, Transcode__V1__StepResult *result) MUST_CHECK;
Err run_put_bytes(Run *run, const NewAsset *asset, Slice bytes, Transcode__V1__StepResult *result) MUST_CHECK;
void run_add_rendition(Run *run, Transcode__V1__StepResult *result, Transcode__V1__Rendition *rendition);
void run_warn(Run *run, Transcode__V1__StepResult *result, const char *format, ...) PRINTF_LIKE(3, 4);
/* Writes hls/master.m3u8 anew from the renditions of all jobs of this generation. */
Err run_put_master(Run *run, Transcode__V1__StepResult *result) MUST_CHECK;

/* The whole attempt, for the queue. `context` is the Transcode. */
Err run_job(Job *job);
/* For Children: counts processor time, by program. `transcode` is the Transcode. */
void run_count_child(void *transcode, const ChildSpec *spec, const ChildResult *result);
/* Deletes what a job made that was never told of. */
void run_remove_outputs(const Transcode *t, Arena *mem, const JobRow *job);

/* What each kind does (first.c, renditions.c, extras.c). `following`: kinds that come next, three at most. */
Err first_work(Run *run, int *following, size_t *following_count) MUST_CHECK;
Err renditions_work(Run *run) MUST_CHECK;
Err extras_work(Run *run) MUST_CHECK;
