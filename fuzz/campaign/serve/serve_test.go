package serve

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

const token = "0123456789abcdef"

var hello = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "hello") })

func TestLoopback(t *testing.T) {
	for addr, want := range map[string]string{
		":8080": "127.0.0.1:8080", "127.0.0.1:1": "127.0.0.1:1", "[::1]:1": "[::1]:1", "localhost:0": "localhost:0", "127.5.5.5:1": "127.5.5.5:1",
	} {
		if got, err := Loopback(addr); got != want || err != nil {
			t.Errorf("%s: %q, error %v", addr, got, err)
		}
	}
	for _, addr := range []string{"0.0.0.0:1", "[::]:1", "10.0.0.1:1", "example.org:1", "localhost.example.org:1", "127.0.0.1.example.org:1"} {
		if got, err := Loopback(addr); got != addr || !errors.Is(err, ErrElsewhere) {
			t.Errorf("%s: %q, error %v", addr, got, err)
		}
	}
	for _, addr := range []string{"", "8080", "127.0.0.1", "::1:1"} {
		if got, err := Loopback(addr); got != "" || err == nil || errors.Is(err, ErrElsewhere) {
			t.Errorf("%s: %q, error %v", addr, got, err)
		}
	}
}

func TestStartRefuses(t *testing.T) {
	for name, test := range map[string]struct {
		opts Options
		want string
	}{
		"elsewhere without a token": {Options{Addr: "0.0.0.0:0", Flag: "--http"}, "--http 0.0.0.0:0: other machines can reach this address"},
		"short token":               {Options{Addr: "127.0.0.1:0", Token: "secret"}, "a token of 6 bytes can be guessed"},
		"no port":                   {Options{Addr: "localhost"}, "write it as HOST:PORT"},
		"no port, token":            {Options{Addr: "localhost", Token: token}, "write it as HOST:PORT"},
		"no such port":              {Options{Addr: "127.0.0.1:99999"}, "choose another port"},
	} {
		t.Run(name, func(t *testing.T) {
			s, err := Start(test.opts)
			if err == nil {
				_ = s.Close(t.Context())
			}
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error %v, want one about %q", err, test.want)
			}
			if err != nil && test.opts.Token != "" && strings.Contains(err.Error(), test.opts.Token) {
				t.Errorf("the error tells the token: %v", err)
			}
		})
	}
}

func TestServerAnswersUntilItIsClosed(t *testing.T) {
	s, err := Start(Options{Addr: "127.0.0.1:0", Handler: Guard("", hello)})
	if err != nil {
		t.Fatal(err)
	}
	answer, err := http.Get("http://" + s.Addr())
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(answer.Body)
	answer.Body.Close()
	if err != nil || string(text) != "hello" {
		t.Errorf("%q, error %v", text, err)
	}
	if err := s.Close(t.Context()); err != nil {
		t.Error(err)
	}
	if answer, err := http.Get("http://" + s.Addr()); err == nil {
		answer.Body.Close()
		t.Error("it answers after it was closed")
	}
}

// Who does not read what he asked for does not keep the server from closing.
func TestCloseHangsUp(t *testing.T) {
	asked := make(chan struct{})
	s, err := Start(Options{Addr: "127.0.0.1:0", Handler: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		close(asked)
		<-r.Context().Done()
	})})
	if err != nil {
		t.Fatal(err)
	}
	got := make(chan error, 1)
	go func() {
		answer, err := http.Get("http://" + s.Addr())
		if err == nil {
			answer.Body.Close()
		}
		got <- err
	}()
	<-asked
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Close(ctx); err != nil {
		t.Error(err)
	}
	if err := <-got; err == nil {
		t.Error("a request that was cut off has an answer")
	}
}

func TestGuard(t *testing.T) {
	for name, test := range map[string]struct {
		token, host, auth string
		want              int
	}{
		"loopback":              {"", "127.0.0.1:80", "", http.StatusOK},
		"loopback by name":      {"", "localhost:80", "", http.StatusOK},
		"loopback of IPv6":      {"", "[::1]:80", "", http.StatusOK},
		"IPv6 without a port":   {"", "[::1]", "", http.StatusOK},
		"another name for it":   {"", "evil.example:80", "", http.StatusForbidden},
		"no name":               {"", "", "", http.StatusForbidden},
		"token":                 {token, "evil.example", "Bearer " + token, http.StatusOK},
		"token, scheme in caps": {token, "a", "BEARER " + token, http.StatusOK},
		"no token":              {token, "127.0.0.1", "", http.StatusUnauthorized},
		"wrong token":           {token, "127.0.0.1", "Bearer " + token + "0", http.StatusUnauthorized},
		"part of it":            {token, "127.0.0.1", "Bearer " + token[1:], http.StatusUnauthorized},
		"other scheme":          {token, "127.0.0.1", "Basic " + token, http.StatusUnauthorized},
		"scheme alone":          {token, "127.0.0.1", "Bearer", http.StatusUnauthorized},
	} {
		t.Run(name, func(t *testing.T) {
			r := httptest.NewRequest(http.MethodGet, "/", nil)
			r.Host = test.host
			if test.auth != "" {
				r.Header.Set("Authorization", test.auth)
			}
			w := httptest.NewRecorder()
			Guard(test.token, hello).ServeHTTP(w, r)
			if w.Code != test.want {
				t.Errorf("status %d, want %d", w.Code, test.want)
			}
			if strings.Contains(w.Body.String(), token) {
				t.Errorf("the answer tells the token: %s", w.Body)
			}
		})
	}
}
