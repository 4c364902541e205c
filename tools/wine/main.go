// Command wine writes what Wine before 9 lacks for a Go program: the library
// bcryptprimitives.dll, whose one function ProcessPrng every Go program for
// Windows asks for as it starts. The library has no code; it points to the
// function of advapi32.dll that does the same (a buffer, a length, random bytes)
// and that Wine has. tools/wine.sh puts it into a Wine folder of its own.
//
// Usage: go run ./wine FILE
package main

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"os"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: wine FILE")
		os.Exit(2)
	}
	dll := forwarder("bcryptprimitives.dll", "ProcessPrng", "advapi32.SystemFunction036")
	if err := os.WriteFile(os.Args[1], dll, 0o644); err != nil { //nolint:gosec // a library of a scratch folder
		fmt.Fprintln(os.Stderr, "wine:", err)
		os.Exit(1)
	}
}

// Where things are in the file and in memory.
const (
	fileAlign = 0x200
	pageAlign = 0x1000
	base      = 0x6f0000000
)

// forwarder makes a library for 64-bit Windows that exports one name as another
// library's function ("library.function").
func forwarder(library, name, target string) []byte {
	le := binary.LittleEndian

	// The one section: the export directory (40 bytes), the tables that it points
	// to, and their texts.
	const dirSize, tables = 40, 4 + 4 + 4
	addr := func(offset int) uint32 { return uint32(pageAlign + offset) }
	libraryAt := dirSize + tables
	nameAt := libraryAt + len(library) + 1
	targetAt := nameAt + len(name) + 1
	end := targetAt + len(target) + 1
	section := make([]byte, fileAlign)
	le.PutUint32(section[12:], addr(libraryAt))
	le.PutUint32(section[16:], 1)               // first ordinal
	le.PutUint32(section[20:], 1)               // functions
	le.PutUint32(section[24:], 1)               // names
	le.PutUint32(section[28:], addr(dirSize))   // table of functions
	le.PutUint32(section[32:], addr(dirSize+4)) // table of names
	le.PutUint32(section[36:], addr(dirSize+8)) // table of the names' ordinals
	le.PutUint32(section[40:], addr(targetAt))  // inside the directory: a forward
	le.PutUint32(section[44:], addr(nameAt))    // the ordinal is 0
	copy(section[libraryAt:], library)
	copy(section[nameAt:], name)
	copy(section[targetAt:], target)

	var f bytes.Buffer
	put := func(values ...any) {
		for _, v := range values {
			_ = binary.Write(&f, le, v) // into memory, of fixed sizes
		}
	}
	dos := make([]byte, 64)
	copy(dos, "MZ")
	le.PutUint32(dos[60:], 64)
	f.Write(dos)
	f.WriteString("PE\x00\x00")
	put(uint16(0x8664), uint16(1), uint32(0), uint32(0), uint32(0), uint16(112+16*8), uint16(0x2022)) // amd64, one section, a DLL
	put(uint16(0x20b), uint16(0), uint32(0), uint32(fileAlign), uint32(0), uint32(0), uint32(pageAlign))
	put(uint64(base), uint32(pageAlign), uint32(fileAlign))
	put(uint16(10), uint16(0), uint16(0), uint16(0), uint16(10), uint16(0), uint32(0)) // versions
	put(uint32(2*pageAlign), uint32(fileAlign), uint32(0), uint16(2), uint16(0x140))   // sizes, checksum, may be moved
	put(uint64(1<<20), uint64(pageAlign), uint64(1<<20), uint64(pageAlign), uint32(0), uint32(16))
	put(addr(0), uint32(end))   // the export directory, with its texts
	f.Write(make([]byte, 15*8)) // no other directory
	f.WriteString(".rdata\x00\x00")
	put(uint32(end), uint32(pageAlign), uint32(fileAlign), uint32(fileAlign))
	put(uint32(0), uint32(0), uint32(0), uint32(0x40000040)) // data, to be read
	f.Write(make([]byte, fileAlign-f.Len()))
	return append(f.Bytes(), section...)
}
