/*
 * EchoServer - a thread a connection, as servers were written for long.
 *
 * EchoServer port
 */
import java.io.IOException;
import java.net.ServerSocket;
import java.net.Socket;

public class EchoServer {
	private static void serve(Socket connection) {
		byte[] buf = new byte[4096];

		try (connection) {
			for (int n; (n = connection.getInputStream().read(buf)) > 0;)
				connection.getOutputStream().write(buf, 0, n);
		} catch (IOException e) {
			/* the load has gone */
		}
	}

	public static void main(String[] args) throws IOException {
		ServerSocket server = new ServerSocket(Integer.parseInt(args[0]), 4096);

		for (;;) {
			Socket connection = server.accept();

			connection.setTcpNoDelay(true);
			new Thread(() -> serve(connection)).start();
		}
	}
}
