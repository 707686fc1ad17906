// SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause)
#include "site.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "maps.h"

static bool begins(const char *text, const char *const *prefixes)
{
	for (; *prefixes; prefixes++) {
		if (!strncmp(text, *prefixes, strlen(*prefixes)))
			return true;
	}
	return false;
}

/* A library that most programs have, and whose inside is nobody's site. */
static bool is_system_module(const char *module)
{
	static const char *const modules[] = {
		"libc.so", "libc-2.", "libpthread", "ld-linux", "ld-musl", "ld-2.", "libstdc++", "libc++", "libgcc_s",
		"libc.musl", "[vdso]", NULL,
	};

	return begins(module, modules);
}

bool site__is_runtime_module(const char *module)
{
	static const char *const modules[] = { "python", "libpython", "libjvm", "java", "node", "libnode", "ruby",
					       "libruby", "php", NULL };

	return is_system_module(module) || begins(module, modules);
}

bool site__is_internal(const struct symbols_frame *frame)
{
	/* Those of libc are there too, for programs that are linked with it statically. */
	static const char *const functions[] = {
		/* libc */
		"pthread_", "__pthread_", "___pthread_", "__GI___pthread_", "__lll_", "lll_", "__futex", "futex_",
		"__new_sem_", "sem_", "__sem_", "do_futex_wait", "__libc_lock", "__timedwait", "__syscall", "syscall",
		"__cp_", "__lock", "__wait", "__rwlock", "cnd_", "mtx_", "__cnd_", "__mtx_", "clone", "__clone",
		/* C++ and Rust */
		"std::", "__gthread", "__gnu_cxx::", "boost::condition_variable", "boost::mutex", "core::sync",
		"parking_lot", "<std::", "<core::", "<parking_lot", "<lock_api::", "lock_api::",
		/* CPython */
		"PyCOND_", "take_gil", "drop_gil", "PyThread_acquire_lock", "PyThread_release_lock", "PyEval_RestoreThread",
		"PyEval_AcquireThread", "PyEval_AcquireLock", "PyGILState_Ensure", "_PyMutex_", "PyMutex_",
		"_PySemaphore_", "_PyParkingLot_", "_PyEvalFrame", "_PyEval_AcquireLock", "acquire_timed",
		"lock_PyThread_", "rlock_acquire", "_Py_HandlePending", "eval_frame_handle_pending", "_PyThreadState_Attach",
		/* HotSpot and the Java library */
		"ObjectMonitor::", "ObjectSynchronizer::", "PlatformMonitor::", "PlatformEvent::", "os::PlatformEvent::",
		"os::PlatformMonitor::", "Parker::", "Unsafe_Park", "SharedRuntime::complete_monitor_locking",
		"SharedRuntime::monitor_enter", "Ljdk/internal/misc/Unsafe;::park", "Ljava/util/concurrent/locks/",
		"jdk.internal.misc.Unsafe::park", "java.util.concurrent.locks.", "JVM_MonitorWait", "Monitor::", "Mutex::",
		NULL,
	};

	return is_system_module(frame->module) || begins(frame->function, functions);
}

void site__format(const struct symbols_frame *frame, char *buf, size_t size)
{
	if (frame->function[0] && frame->line)
		snprintf(buf, size, "%.150s (%.80s:%" PRIu32 ")", frame->function, maps__basename(frame->file), frame->line);
	else if (frame->function[0] && frame->module[0])
		snprintf(buf, size, "%.150s (%s+0x%" PRIx64 ")", frame->function, frame->module, frame->offset);
	else if (frame->function[0])
		snprintf(buf, size, "%s", frame->function);
	else if (frame->module[0])
		snprintf(buf, size, "%s+0x%" PRIx64, frame->module, frame->offset);
	else
		snprintf(buf, size, "?");
}
