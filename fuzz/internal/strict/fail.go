package strict

import "fmt"

// Error says what is wrong with a value and where it is.
type Error struct {
	// At is "file:line", Path the name of the value; either may be "".
	At, Path string
	Err      error
}

func (e *Error) Error() string {
	out := e.Err.Error()
	if e.Path != "" {
		out = e.Path + ": " + out
	}
	if e.At != "" {
		out = e.At + ": " + out
	}
	return out
}

// Unwrap returns what is wrong.
func (e *Error) Unwrap() error { return e.Err }

// Fail makes an Error about the value at path.
func Fail(at, path, format string, args ...any) error {
	return &Error{At: at, Path: path, Err: fmt.Errorf(format, args...)}
}
