// The one file that compiles the bodies of Asio and Beast; all others see declarations only.
#include <boost/asio/impl/src.hpp>
#include <boost/beast/src.hpp>
