// cri calls one method of the container runtime interface: cri SOCKET METHOD [REQUEST]. The request and the answer are JSON.
package main

import (
	"context"
	"fmt"
	"os"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	_ "k8s.io/cri-api/pkg/apis/runtime/v1"
)

func main() {
	if len(os.Args) < 3 {
		fail(fmt.Errorf("usage: cri SOCKET METHOD [REQUEST]"))
	}
	request := "{}"
	if len(os.Args) > 3 {
		request = os.Args[3]
	}
	answer, err := call(os.Args[1], os.Args[2], request)
	if err != nil {
		fail(err)
	}
	fmt.Println(answer)
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

// Images have a service of their own.
func call(socket, method, request string) (string, error) {
	service := "RuntimeService"
	if strings.HasSuffix(method, "Image") || strings.HasSuffix(method, "Images") {
		service = "ImageService"
	}
	asked, err := message(method + "Request")
	if err != nil {
		return "", err
	}
	if err := protojson.Unmarshal([]byte(request), asked); err != nil {
		return "", err
	}
	answered, err := message(method + "Response")
	if err != nil {
		return "", err
	}
	connection, err := grpc.NewClient("unix://"+socket, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return "", err
	}
	defer connection.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	if err := connection.Invoke(ctx, "/runtime.v1."+service+"/"+method, asked, answered); err != nil {
		return "", err
	}
	text, err := protojson.MarshalOptions{EmitUnpopulated: true}.Marshal(answered)
	return string(text), err
}

func message(name string) (proto.Message, error) {
	kind, err := protoregistry.GlobalTypes.FindMessageByName(protoreflect.FullName("runtime.v1." + name))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return kind.New().Interface(), nil
}
