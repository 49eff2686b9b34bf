package journal

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"

	"github.com/bpffuzz/bpffuzz/corpus"
)

// A frame is a record of the files entries and suspects: the CRC-32C of what follows,
// how often a process ended while the input ran alone, and the record.
const frameHeader = 8

func appendFrame(b []byte, ends uint32, in *corpus.Input) []byte {
	begin, n := len(b), recordSize(in)
	b = append(b, make([]byte, frameHeader+n)...)
	frame := b[begin:]
	if put(frame[frameHeader:], in) == 0 {
		return b[:begin] // more steps than a record holds: nothing makes such inputs
	}
	binary.LittleEndian.PutUint32(frame[4:], ends)
	binary.LittleEndian.PutUint32(frame, crc32.Checksum(frame[4:], castagnoli()))
	return b
}

// errCut says that a file ends within a frame: its process was killed while it wrote. Where
// the machine went down, what was not stored reads as zeros.
var errCut = errors.New("the last frame is cut off")

// takeFrame reads a frame and returns what is behind it.
func takeFrame(b []byte) (in *corpus.Input, ends uint32, rest []byte, err error) {
	le := binary.LittleEndian
	if len(b) < frameHeader+4 || isZero(b) || int64(le.Uint32(b[frameHeader:])) > int64(len(b)-frameHeader) {
		return nil, 0, nil, errCut
	}
	in, rest, err = take(b[frameHeader:])
	if err != nil {
		return nil, 0, nil, err
	}
	if sum := crc32.Checksum(b[4:len(b)-len(rest)], castagnoli()); sum != le.Uint32(b) {
		return nil, 0, nil, fmt.Errorf("a frame with checksum %#08x, its bytes have %#08x", le.Uint32(b), sum)
	}
	return in, le.Uint32(b[4:]), rest, nil
}

func isZero(b []byte) bool { return len(bytes.Trim(b, "\x00")) == 0 }

// castagnoli returns the polynomial for which processors have an instruction. The
// library makes its table once.
func castagnoli() *crc32.Table { return crc32.MakeTable(crc32.Castagnoli) }
