package serve

import (
	"crypto/sha256"
	"crypto/subtle"
	"net"
	"net/http"
	"strings"
)

// Guard lets only those requests through to h that may be answered: with a token, those
// that bring it as "Authorization: Bearer TOKEN"; without one, those that are meant for
// loopback by name, since a page from elsewhere could have its own name lead there.
func Guard(token string, h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case token == "" && !local(r.Host):
			http.Error(w, "this is served for localhost only", http.StatusForbidden)
		case token != "" && !Authorized(r, token):
			w.Header().Set("WWW-Authenticate", `Bearer realm="bpffuzz"`)
			http.Error(w, "a token is needed: send it as Authorization: Bearer TOKEN", http.StatusUnauthorized)
		default:
			h.ServeHTTP(w, r)
		}
	})
}

// Authorized reports whether the request brings the token in its header. It takes as long
// for any wrong one.
func Authorized(r *http.Request, token string) bool {
	scheme, given, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	return strings.EqualFold(scheme, "Bearer") && Equal(strings.TrimSpace(given), token)
}

// Equal compares tokens in a time that does not tell where they differ, nor how long
// either is.
func Equal(given, token string) bool {
	a, b := sha256.Sum256([]byte(given)), sha256.Sum256([]byte(token))
	return subtle.ConstantTimeCompare(a[:], b[:]) == 1
}

// local reports whether a Host header names this machine's loopback.
func local(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	return isLoopback(strings.Trim(host, "[]"))
}
