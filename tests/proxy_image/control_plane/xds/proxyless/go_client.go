// A gRPC client in Go: see python_client.py for what it reads and prints. `make test` does not build it. To run the tests
// of this folder with it, in a folder of its own:
//
//	go mod init client && go mod tidy && go build -o client go_client.go
//	XDS_CLIENTS='{"Go": ["/path/of/client"]}' python -m pytest tests/proxy_image/control_plane/xds/proxyless -k Go
package main

import (
	"bufio"
	"context"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/admin"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	_ "google.golang.org/grpc/xds"
)

type asked struct {
	Target       string      `json:"target"`
	Count        int         `json:"count"`
	Method       string      `json:"method"`
	Metadata     [][2]string `json:"metadata"`
	Timeout      *float64    `json:"timeout"`
	Parallel     bool        `json:"parallel"`
	Apart        float64     `json:"apart"`
	WaitForReady bool        `json:"wait_for_ready"`
	Cas          *string     `json:"cas"`
}

type told struct {
	Answers map[string]int `json:"answers"`
	Seconds []float64      `json:"seconds"`
}

// The servers of the tests take and give bytes as they are.
type raw struct{}

func (raw) Marshal(v any) ([]byte, error)      { return *v.(*[]byte), nil }
func (raw) Unmarshal(data []byte, v any) error { *v.(*[]byte) = append([]byte{}, data...); return nil }
func (raw) Name() string                       { return "proto" }

var channels = map[string]*grpc.ClientConn{}

func main() {
	if address := os.Getenv("ADMIN"); address != "" {
		serveAdmin(address)
	}
	lines := bufio.NewReader(os.Stdin)
	for {
		line, err := lines.ReadBytes('\n')
		if err != nil {
			return
		}
		var request asked
		if err := json.Unmarshal(line, &request); err != nil {
			panic(err)
		}
		answer, _ := json.Marshal(calls(request))
		fmt.Println(string(answer))
	}
}

func serveAdmin(address string) {
	server := grpc.NewServer()
	if _, err := admin.Register(server); err != nil {
		panic(err)
	}
	listening, err := net.Listen("tcp", address)
	if err != nil {
		panic(err)
	}
	go server.Serve(listening)
}

func calls(request asked) told {
	result := told{map[string]int{}, []float64{}}
	var all sync.WaitGroup
	var turn sync.Mutex
	for range request.Count {
		one := func() {
			began := time.Now()
			answer := call(request)
			turn.Lock()
			defer turn.Unlock()
			result.Answers[answer]++
			result.Seconds = append(result.Seconds, time.Since(began).Seconds())
		}
		if request.Parallel {
			all.Add(1)
			go func() { defer all.Done(); one() }()
		} else {
			one()
		}
		time.Sleep(time.Duration(request.Apart * float64(time.Second)))
	}
	all.Wait()
	return result
}

func call(request asked) string {
	ctx := context.Background()
	if request.Timeout != nil {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, time.Duration(*request.Timeout*float64(time.Second)))
		defer cancel()
	}
	for _, pair := range request.Metadata {
		ctx = metadata.AppendToOutgoingContext(ctx, pair[0], pair[1])
	}
	var answer []byte
	err := channel(request).Invoke(ctx, request.Method, &[]byte{}, &answer, grpc.WaitForReady(request.WaitForReady))
	if err == nil {
		return string(answer)
	}
	return fmt.Sprintf("%s: %s", name(status.Code(err)), status.Convert(err).Message())
}

var lock sync.Mutex

func channel(request asked) *grpc.ClientConn {
	lock.Lock()
	defer lock.Unlock()
	if found, ok := channels[request.Target]; ok {
		return found
	}
	security := insecure.NewCredentials()
	if request.Cas != nil {
		pool, pem := x509.NewCertPool(), must(os.ReadFile(*request.Cas))
		pool.AppendCertsFromPEM(pem)
		security = credentials.NewClientTLSFromCert(pool, "")
	}
	made := must(grpc.NewClient(request.Target, grpc.WithTransportCredentials(security),
		grpc.WithDefaultCallOptions(grpc.ForceCodec(raw{}))))
	channels[request.Target] = made
	return made
}

// As other languages write it: DEADLINE_EXCEEDED for DeadlineExceeded.
func name(code codes.Code) string {
	var out strings.Builder
	for at, letter := range code.String() {
		if at > 0 && letter >= 'A' && letter <= 'Z' && code != codes.OK {
			out.WriteByte('_')
		}
		out.WriteRune(letter)
	}
	return strings.ToUpper(out.String())
}

func must[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}
