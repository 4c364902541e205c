package executor

import (
	"fmt"
	"os"
	"unicode/utf16"
	"unsafe"

	"golang.org/x/sys/windows"
)

// attributeJobList is PROC_THREAD_ATTRIBUTE_JOB_LIST, since Windows 10.
const attributeJobList = 0x2000d

// startInJob starts the program as a member of the job from its first moment on:
// there is no time in which a child could be born outside, and none in which an
// agent that dies leaves a process that nobody resumes. Package os has no way to
// say that. The handle of the process is the caller's to close.
func startInJob(l launch, j *job) (pid int, process windows.Handle, err error) {
	app, err := windows.UTF16PtrFromString(l.path)
	if err != nil {
		return 0, 0, fmt.Errorf("start program: %w", err)
	}
	line, err := windows.UTF16PtrFromString(windows.ComposeCommandLine(l.argv))
	if err != nil {
		return 0, 0, fmt.Errorf("start program: %w", err)
	}
	dir, err := windows.UTF16PtrFromString(l.dir)
	if err != nil {
		return 0, 0, fmt.Errorf("start program: %w", err)
	}
	inherited, err := inheritable(l.files)
	if err != nil {
		return 0, 0, fmt.Errorf("start program: %w", err)
	}
	defer closeAll(inherited[:])

	// Of the agent's handles the child gets these three and no other.
	attributes, err := windows.NewProcThreadAttributeList(2)
	if err != nil {
		return 0, 0, fmt.Errorf("start program: %w", err)
	}
	defer attributes.Delete()
	jobs := []windows.Handle{j.handle}
	if err := attributes.Update(windows.PROC_THREAD_ATTRIBUTE_HANDLE_LIST, unsafe.Pointer(&inherited[0]), unsafe.Sizeof(inherited)); err != nil {
		return 0, 0, fmt.Errorf("start program: %w", err)
	}
	if err := attributes.Update(attributeJobList, unsafe.Pointer(&jobs[0]), unsafe.Sizeof(jobs[0])); err != nil {
		return 0, 0, fmt.Errorf("start program in a job object: %w", err)
	}
	si := windows.StartupInfoEx{ProcThreadAttributeList: attributes.List()}
	si.Cb = uint32(unsafe.Sizeof(si))
	si.Flags = windows.STARTF_USESTDHANDLES
	si.StdInput, si.StdOutput, si.StdErr = inherited[0], inherited[1], inherited[2]
	env := environmentBlock(l.env)

	// A console and a group of its own: what is typed at the agent's does not
	// reach it.
	const flags = windows.CREATE_UNICODE_ENVIRONMENT | windows.EXTENDED_STARTUPINFO_PRESENT |
		windows.CREATE_NO_WINDOW | windows.CREATE_NEW_PROCESS_GROUP
	var pi windows.ProcessInformation
	if err := windows.CreateProcess(app, line, nil, nil, true, flags, &env[0], dir, &si.StartupInfo, &pi); err != nil {
		return 0, 0, &os.PathError{Op: "start", Path: l.path, Err: err}
	}
	_ = windows.CloseHandle(pi.Thread)
	return int(pi.ProcessId), pi.Process, nil
}

// inheritable makes copies of the files' handles that a child may have.
func inheritable(files [3]*os.File) (handles [3]windows.Handle, err error) {
	self := windows.CurrentProcess()
	for i, f := range files {
		err = windows.DuplicateHandle(self, windows.Handle(f.Fd()), self, &handles[i], 0, true, windows.DUPLICATE_SAME_ACCESS)
		if err != nil {
			closeAll(handles[:i])
			return handles, fmt.Errorf("hand over %s: %w", f.Name(), err)
		}
	}
	return handles, nil
}

func closeAll(handles []windows.Handle) {
	for _, h := range handles {
		_ = windows.CloseHandle(h)
	}
}

// environmentBlock writes "NAME=value" each with a NUL after it, and one more at
// the end. None of them holds one; Spec.launch looked.
func environmentBlock(env []string) []uint16 {
	var block []uint16
	for _, kv := range env {
		for _, r := range kv {
			block = utf16.AppendRune(block, r)
		}
		block = append(block, 0)
	}
	return append(block, 0, 0)
}
